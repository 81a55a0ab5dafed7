// The page of `mlbench serve`: what a person gives goes to /predict, and the labels come back.

const $ = (name) => document.getElementById(name);
const FIELDS = 500; // more columns are not filled in by hand
const TEXT = data.takes.includes("texts"), IMAGE = data.takes.includes("images"), ROWS = data.takes.includes("rows");
let dropped = null; // the image: {name, base64}
let asked = 0; // an answer that comes after a later question is not shown
let answered = null;

// What the runs are.

const different = (values) => [...new Set(values.filter((value) => value !== undefined && value !== ""))];
const of = (name) => different(data.runs.map((run) => run[name])).join(", ");
const parts = different(data.runs.map((run) => run.parts && Object.entries(run.parts).map(([part, rows]) => `${part} ${rows.toLocaleString("en")}`).join(", ")));
const facts = [
  ["data", of("dataset")], ["method", of("method")], ["backbone", of("backbone")], ["loss", of("loss")],
  ["labels", data.labels.length.toLocaleString("en")], ["instances", parts.join("; ")], ["split", of("split")],
  ["threshold", of("threshold")], ["cuts on", different(data.cut_on).join(", ")], ["epoch", of("selection")],
  ["seed", of("seed")], ["trained", of("finished").slice(0, 10)], ["run", of("key")], ["cite", of("citation")], ["licence", of("licence")],
].filter(([, words]) => words);
$("title").textContent = document.title;
if (data.runs.length > 1) facts.unshift(["mean of", `${data.runs.length} runs`]);
const long = ([, words]) => words.length > 36;
const fact = ([name, words]) => h("div", { class: long([name, words]) ? "long" : "short" }, h("dt", {}, name), h("dd", {}, words));
$("facts").append(...facts.filter((each) => !long(each)).map(fact), ...facts.filter(long).map(fact));

// What can be given.

const cell = (value) => typeof value === "number" ? String(Number(value.toPrecision(6))) : value;
const quoted = (value) => /[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value;

if (ROWS) {
  const { columns, example } = data;
  $("line").hidden = false;
  $("csv").placeholder = columns.map((column) => quoted(column.name)).join(",");
  $("count").textContent = columns.length === 1 ? "1 column" : `${columns.length.toLocaleString("en")} columns`;
  $("columns").textContent = columns.map(({ name, words }) => words.length ? `${name} (${words.join(", ")})` : name).join(", ");
  $("fields").className = "fields";
  $("ways").hidden = columns.length > FIELDS;
  if (columns.length <= FIELDS) $("fields").append(...columns.map(field));
  if (example) {
    $("example").hidden = false;
    $("example").title = "the mean of each column over the training rows, or its most frequent word";
    $("example").addEventListener("click", () => {
      $("csv").value = `${columns.map((column) => quoted(column.name)).join(",")}\n${example.map((value) => quoted(cell(value))).join(",")}`;
      for (const [place, input] of inputs().entries()) input.value = cell(example[place]);
      say("");
    });
  }
}
$("text").hidden = !TEXT;
$("image").hidden = !IMAGE;
if (TEXT && data.fields.text.length > 1) $("words-label").textContent = `A text: ${data.fields.text.join(", ")}, below each other`;

function field({ name, words }, place) {
  const input = words.length
    ? h("select", { id: `field-${place}` }, h("option", { value: "" }, ""), words.map((word) => h("option", { value: word }, word)))
    : h("input", { id: `field-${place}`, inputmode: "decimal", autocomplete: "off" });
  return h("div", {}, h("label", { for: `field-${place}` }, name), input);
}

function inputs() {
  return [...$("fields").querySelectorAll("input, select")];
}

const tabs = [$("way-line"), $("way-fields")];
for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => choose(place));
  tab.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    choose(1 - place);
    tabs[1 - place].focus();
  });
}

function choose(chosen) {
  for (const [place, tab] of tabs.entries()) {
    tab.setAttribute("aria-selected", place === chosen);
    tab.tabIndex = place === chosen ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = place !== chosen;
  }
  say("");
}

// Images.

$("file").addEventListener("change", () => take($("file").files));
$("drop").addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
$("drop").addEventListener("dragleave", () => $("drop").classList.remove("over"));
$("drop").addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => IMAGE && event.clipboardData.files.length && take(event.clipboardData.files));

function take(files) {
  if (!files.length) return;
  const [file] = files;
  dropped = null;
  $("shown").replaceChildren();
  if (file.size * 4 / 3 + 1000 > data.limit) {
    return say(`${file.name} is larger than the ${Math.floor(data.limit * 3 / 4 / 2 ** 20)} MB that are taken`);
  }
  const reader = new FileReader();
  reader.addEventListener("error", () => say(`${file.name} cannot be read`));
  reader.addEventListener("load", () => {
    dropped = { name: file.name, base64: reader.result.slice(reader.result.indexOf(",") + 1) };
    $("shown").replaceChildren(h("img", { src: URL.createObjectURL(file), alt: file.name }), h("small", {}, file.name));
    say("");
    if (!TEXT) ask();
  });
  reader.readAsDataURL(file);
}

// Questions and answers.

$("ask").addEventListener("submit", (event) => { event.preventDefault(); ask(); });
$("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
});
$("row").addEventListener("change", show);

/** The request's body; null, with a sentence said, where something is missing. */
function given() {
  if (ROWS && $("fields").hidden) return $("csv").value.trim() ? { csv: $("csv").value } : missing("Paste a line first, or try an example", $("csv"));
  if (ROWS) {
    const empty = inputs().find((input) => !input.value.trim());
    if (empty) return missing(`${data.columns[inputs().indexOf(empty)].name} is empty`, empty);
    return { rows: [Object.fromEntries(inputs().map((input, place) => [data.columns[place].name, input.value]))] };
  }
  if (TEXT && !$("words").value.trim()) return missing("Write or paste a text first", $("words"));
  if (IMAGE && !dropped) return missing("Drop an image first", $("file"));
  return { ...(TEXT && { texts: [$("words").value] }), ...(IMAGE && { images: [dropped.base64] }) };
}

function missing(sentence, input) {
  say(sentence);
  mark(input);
  return null;
}

function say(sentence) {
  for (const input of $("ask").querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  $("failure").textContent = sentence;
}

function mark(input) {
  input.setAttribute("aria-invalid", "true");
  input.focus();
}

async function ask() {
  const body = given();
  if (!body) return;
  const number = ++asked;
  say("");
  $("score").setAttribute("aria-disabled", "true");
  const [status, answer] = await posted(JSON.stringify(body));
  if (number !== asked) return;
  $("score").removeAttribute("aria-disabled");
  if (status !== 200) return refused(answer.error, body);
  answered = answer;
  $("row").replaceChildren(...answer.scores.map((_, place) => h("option", { value: place }, `${place + 1} of ${answer.scores.length}`)));
  $("which").hidden = answer.scores.length < 2;
  const left_out = answer.left_out.length ? `Left out, since the run does not know them: ${answer.left_out.join(", ")}. ` : "";
  const sets = answer.sets ? `A label is in the set where its score is ${data.at_cut ? "at or above" : "above"} the cut, the upright line.` : "The run’s threshold rule has no cuts for new rows, so there are no label sets.";
  $("about").textContent = left_out + sets;
  show();
}

async function posted(body) {
  try {
    const response = await fetch("/predict", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return [response.status, await response.json()];
  } catch {
    return [0, { error: "there is no answer: does mlbench serve still run?" }];
  }
}

function refused(sentence, body) {
  say(sentence);
  const column = /column '(.+?)'/.exec(sentence);
  const place = column && body.rows ? data.columns.findIndex(({ name }) => name === column[1]) : -1;
  if (place >= 0) mark(inputs()[place]);
  else if (body.csv) $("csv").setAttribute("aria-invalid", "true");
}

/** The labels of the chosen row, the likeliest first. */
function show() {
  const row = Number($("row").value || 0), { labels, cuts } = answered;
  const scores = answered.scores[row], set = answered.sets?.[row];
  $("set").replaceChildren(...(set ? ["In the set: ", h("b", {}, set.length ? set.join(", ") : "none")] : []));
  const chosen = new Set(set);
  const order = labels.map((_, place) => place).sort((a, b) => scores[b] - scores[a]);
  const heads = [head("label", "ascending"), head("score", "descending", "descending")];
  if (cuts) heads.push(head("cut", "descending"), head("in set", "descending"));
  const rows = order.map((place, rank) => {
    const name = labels[place], value = scores[place], cut = cuts?.[place], inside = chosen.has(name);
    const bar = h("td", { class: "bar", "data-value": value, "data-cut": cut }, number(value, 4));
    bar.style.setProperty("--part", Math.min(Math.max(value, 0), 1));
    if (cuts) bar.style.setProperty("--cut", Math.min(Math.max(cut, 0), 1));
    const more = cuts ? [h("td", { "data-value": cut }, number(cut, 4)), h("td", { "data-value": Number(inside) }, inside ? h("span", { class: "mark", role: "img", "aria-label": "in the set" }, "✓") : "")] : [];
    return h("tr", { "data-place": rank, class: inside && "chosen" }, h("th", { scope: "row", "data-value": name }, name), bar, ...more);
  });
  $("scores").hidden = false;
  $("scores").replaceChildren(h("table", { class: "bars" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

// What stands below.

async function measures() {
  const { draws, metrics, shown } = await (await fetch("/metrics")).json();
  if (!metrics.length) return;
  const runs = data.runs.map((run) => data.runs.length > 1 ? `${run.method}, seed ${run.seed}` : "value");
  const heads = ["metric", ...runs, ...(draws ? ["interval"] : []), "definition"].map((name, place) => h("th", { scope: "col", class: place && place <= runs.length && "number" }, name));
  const rows = metrics.map(({ name, values, interval, definition }) => h("tr", { hidden: !shown.includes(name) && "" },
    h("th", { scope: "row", title: definition }, name), values.map((value) => h("td", { class: "number" }, number(value, 4))),
    draws ? h("td", { class: "between" }, interval ? interval.map((end) => number(end, 4)).join("–") : "–") : null, h("td", {}, definition)));
  $("metrics-table").append(h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
  $("metrics-about").textContent = draws
    ? `Interval: the middle 95 % of ${draws.toLocaleString("en")} bootstrap resamples of the test instances, with the trained model and its cuts as they are.`
    : "What each run measured by itself.";
  $("more").textContent = `All ${metrics.length} metrics`;
  $("more").hidden = !rows.some((row) => row.hidden);
  $("more").addEventListener("click", () => {
    for (const row of rows) row.hidden = false;
    $("more").hidden = true;
    $("metrics-table").parentElement.focus();
  });
  $("metrics").hidden = false;
}

function program() {
  const body = {};
  if (ROWS) body.rows = [Object.fromEntries(data.columns.slice(0, 8).map(({ name, words }, place) => [name, data.example ? Number(cell(data.example[place])) || cell(data.example[place]) : words[0] ?? 0]))];
  if (TEXT) body.texts = ["..."];
  if (IMAGE) body.images = ["base64 of a file"];
  const more = ROWS && data.columns.length > 8 ? ` # and ${data.columns.length - 8} more columns` : "";
  $("program").textContent = `curl ${location.origin}/predict -H 'Content-Type: application/json' -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'${more}`;
}

program();
measures().catch(() => {}); // the page works without them

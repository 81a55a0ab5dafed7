// All runs of the board: what is chosen above decides which are listed.

const MOST = 300; // lines until all are asked for
const VARIANTS = ["as published", "tuned"];
const FIRST = 9; // of the numbers in a line
const asked = { dataset: "", method: "", variant: "", state: "", words: "", metric: data.metric, all: false };
let sorted = null; // of the list: the head's words, and the order

function choices() {
  const list = (name, words, options) => {
    const select = h("select", { id: name }, h("option", { value: "" }, "all"), options.map(([value, text]) => h("option", { value }, text)));
    select.addEventListener("change", () => { asked[name] = select.value; draw(); });
    return h("label", {}, words, select);
  };
  const numbered = (items) => items.map((each, place) => [place, each]);
  const metric = h("select", { id: "metric" }, data.metrics.map(({ name }, place) => h("option", { value: place }, name)));
  metric.value = asked.metric;
  metric.addEventListener("change", () => { asked.metric = Number(metric.value); draw(); });
  const words = h("input", { type: "search", id: "words", placeholder: "key, option, reason" });
  words.addEventListener("input", () => { asked.words = words.value.toLowerCase(); draw(); });
  const states = [...new Set(data.runs.map((run) => run[5]))].sort();
  return [list("dataset", "Data set", numbered(data.datasets.map(([title]) => title))),
    list("method", "Method", numbered(data.methods.map(([title]) => title))),
    list("variant", "Variant", numbered(VARIANTS)),
    list("state", "State", states.map((state) => [state, state.replace("_", " ")])),
    h("label", {}, "Metric", metric), h("label", {}, "Search", words)];
}

function fits([dataset, method, variant, , , state, key, options, reason]) {
  const is = (name, value) => asked[name] === "" || asked[name] === String(value);
  const text = () => [data.datasets[dataset][0], data.methods[method][0], key, data.texts[options], data.texts[reason]].join(" ").toLowerCase();
  return is("dataset", dataset) && is("method", method) && is("variant", variant) && is("state", state) && (!asked.words || text().includes(asked.words));
}

function line(run, place) {
  const [dataset, method, variant, split, seed, state, key, options, reason] = run;
  const count = data.metrics.length, value = run[FIRST + asked.metric];
  const [train, predict, memory] = run.slice(FIRST + count);
  const cell = (sort, text, kind = null) => h("td", { "data-value": sort ?? "", class: kind }, text);
  const named = ([title, address]) => h("a", { href: address }, title);
  return h("tr", { "data-place": place }, h("th", { scope: "row" }, named(data.methods[method]), variant ? [" ", h("span", { class: "tag" }, "tuned")] : null),
    cell(data.datasets[dataset][0], named(data.datasets[dataset]), "words"), cell(split, String(split)), cell(seed, String(seed)),
    cell(state, state.replace("_", " "), state === "finished" || state === "not_run" ? "words" : "words lost-run"),
    cell(value, number(value, 4)), cell(train, duration(train)), cell(predict, duration(predict)), cell(memory, memory === null ? "–" : `${memory.toFixed(0)} MB`),
    cell(key, h("code", {}, key), "words"), cell(null, [data.texts[options], data.texts[reason]].filter(Boolean).join(" · "), "words long"));
}

function draw() {
  const found = data.runs.filter(fits), listed = asked.all ? found : found.slice(0, MOST);
  const { name, better } = data.metrics[asked.metric] ?? { name: "metric", better: "high" };
  const worded = (text) => { const th = head(text, "ascending"); th.className = "words"; return th; };
  const heads = [head("method", "place"), worded("data set"), head("split", "ascending"), head("seed", "ascending"), worded("state"),
    head(`${name} ${better === "high" ? "↑" : "↓"}`, better === "high" ? "descending" : "ascending"), head("to train", "ascending"), head("to predict", "ascending"), head("memory", "ascending"),
    worded("key"), h("th", { scope: "col", class: "words" }, "options, reason")];
  const table = h("table", { class: "grid" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, listed.map(line)));
  const count = document.getElementById("count");
  count.replaceChildren(`${found.length.toLocaleString("en")} of ${data.runs.length.toLocaleString("en")} runs`);
  if (listed.length < found.length) {
    const more = h("button", { type: "button", class: "download" }, "List all");
    more.addEventListener("click", () => { asked.all = true; draw(); });
    count.append(`; the first ${MOST} are listed `, more);
  }
  document.getElementById("runs").replaceChildren(h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "all runs" }, table));
  const again = sorted && [...table.querySelectorAll("thead th")][sorted.column];
  if (again) sort(again, sorted.order);
}

document.getElementById("runs").addEventListener("sorted", (event) => { sorted = event.detail; });
const form = document.getElementById("choose");
form.append(...choices());
form.hidden = false;
form.addEventListener("submit", (event) => event.preventDefault());
draw();

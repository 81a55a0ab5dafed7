// The page of all runs: what is chosen above decides what the parts below show.

const FILTERS = { dataset: "data set", method: "method", loss: "loss" };
const metrics = Object.keys(data.metrics);
const chosen = { metric: metrics.includes("f1_macro") ? "f1_macro" : metrics[0] };
let sorted = { column: null, order: null }; // of the list of runs
for (const name of Object.keys(FILTERS)) chosen[name] = new Set();

// ---- choices, which the address keeps

function read() {
  const address = new URLSearchParams(location.hash.slice(1));
  if (metrics.includes(address.get("metric"))) chosen.metric = address.get("metric");
  for (const name of Object.keys(FILTERS)) chosen[name] = new Set(address.getAll(name));
}

function keep() {
  const address = new URLSearchParams({ metric: chosen.metric });
  for (const name of Object.keys(FILTERS)) for (const value of chosen[name]) address.append(name, value);
  history.replaceState(null, "", `#${address}`);
}

function filters() {
  const choice = h("select", { id: "metric" }, metrics.map((name) => h("option", { value: name }, name)));
  choice.value = chosen.metric;
  choice.addEventListener("change", () => { chosen.metric = choice.value; draw(); });
  const more = data.unknown.length > 0 && h("small", {}, ` not known to this version: ${data.unknown.join(", ")}`);
  return [h("p", {}, h("label", {}, "metric ", choice), more), ...Object.entries(FILTERS).map(([name, words]) => chips(name, words))];
}

/** One of them chosen: only those; none: all. */
function chips(name, words) {
  const counts = new Map();
  for (const run of data.runs) {
    const value = data.groups[run.group][name];
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  const each = [...counts].sort(([a], [b]) => a.localeCompare(b)).map(([value, count]) => {
    const box = h("input", { type: "checkbox", name, value });
    box.checked = chosen[name].has(value);
    box.addEventListener("change", () => {
      if (box.checked) chosen[name].add(value);
      else chosen[name].delete(value);
      draw();
    });
    return h("label", { class: "chip" }, box, h("span", {}, value, " ", h("small", {}, String(count))));
  });
  return h("fieldset", {}, h("legend", {}, words), each);
}

// ---- what is drawn

function draw() {
  keep();
  const place = metrics.indexOf(chosen.metric);
  const low = data.metrics[chosen.metric] === "low";
  const fits = (group) => Object.keys(FILTERS).every((name) => !chosen[name].size || chosen[name].has(group[name]));
  const runs = data.runs.filter((run) => fits(data.groups[run.group]))
    .map((run) => ({ ...run, ...data.groups[run.group], value: run.values[place] }));
  const groups = results(place, fits);
  document.getElementById("facts").replaceChildren(...facts(runs.length));
  document.getElementById("best").replaceChildren(best(groups, low));
  const maps = heats(groups, low);
  document.getElementById("heat").replaceChildren(...maps);
  document.getElementById("heat-part").hidden = !maps.length;
  document.getElementById("scatter").replaceChildren(...scatters(groups, low));
  document.getElementById("runs").replaceChildren(list(runs, low));
  if (sorted.column !== null) sort(document.querySelectorAll("#runs thead th")[sorted.column], sorted.order);
}

function facts(count) {
  const shown = { ...data.facts, runs: `${count} of ${data.facts.runs}` };
  return Object.entries(shown).map(([name, words]) => h("div", {}, h("dt", {}, name), h("dd", {}, words)));
}

/** Runs that differ in seed and fold alone are a result: mean, deviation and what it is over. Those without the metric are left out. */
function results(place, fits) {
  return data.groups.map((group, number) => ({ ...group, group: number, ...group.results[place] }))
    .filter((group) => fits(group) && group.results[place] !== null);
}

/** Groups that may be compared: the same data set, split and selection. */
function rivals(groups) {
  const places = new Map();
  for (const group of groups) {
    places.set(group.rivals, [...(places.get(group.rivals) ?? []), group]);
  }
  return [...places.values()];
}

function table(heads, rows, name) {
  return h("table", { class: `list ${name}` }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows));
}

const cell = (text, value = text, attributes = {}) => h("td", { "data-value": value ?? "", ...attributes }, text);
const arrowed = (low) => `${chosen.metric} ${low ? "↓" : "↑"}`;
const spread = (group) => `${number(group.mean, 4)}${group.std === null ? "" : ` ± ${number(group.std, 4)}${group.folds === null ? "" : ` over ${group.over}`}`}`;
const told = (group) => h("small", { class: "more" }, group.more);

function best(groups, low) {
  const rows = rivals(groups).map((of, place) => {
    const [first, second] = [...of].sort((a, b) => (low ? a.mean - b.mean : b.mean - a.mean));
    return h("tr", { "data-place": place }, cell(first.dataset), cell(first.split), cell(first.rule),
      cell([h("b", {}, first.method), " ", told(first)], first.method), cell(first.loss), cell(first.backbone), cell(first.threshold),
      cell(h("b", {}, spread(first)), first.mean, { class: "number" }), cell(first.count, first.runs, { class: "number" }),
      cell(duration(first.seconds), first.seconds, { class: "number" }),
      cell(second ? [`${second.method} ${spread(second)} `, told(second)] : "–", second?.mean), cell(String(of.length), of.length, { class: "number" }));
  });
  const heads = [["data set", "place"], ["split", "ascending"], ["selection", "ascending"], ["best method", "ascending"], ["loss", "ascending"],
    ["backbone", "ascending"], ["threshold", "ascending"], [arrowed(low), low ? "ascending" : "descending"], ["runs", "descending"],
    ["time", "ascending"], ["second", low ? "ascending" : "descending"], ["of", "descending"]];
  return table(heads.map(([name, first]) => head(name, first)), rows, "bests");
}

function list(runs, low) {
  const rows = runs.map((run, place) =>
    h("tr", { "data-place": place }, cell(run.dataset), cell([run.method, " ", told(run)], run.method), cell(run.loss), cell(run.backbone),
      cell(run.split), cell(run.rule), cell(run.threshold), cell(String(run.seed), run.seed, { class: "number" }),
      cell(run.fold === null ? "–" : String(run.fold), run.fold, { class: "number" }),
      cell(number(run.value, 4), run.value, { class: "number" }), cell(duration(run.seconds), run.seconds, { class: "number" }),
      cell(run.finished.slice(0, 16).replace("T", " "), run.finished), cell(h("a", { href: run.record }, run.key))));
  const heads = ["data set", "method", "loss", "backbone", "split", "selection", "threshold", "seed", "fold", arrowed(low), "time", "finished", "record"];
  return table(heads.map((name) => head(name, name === arrowed(low) && !low ? "descending" : "ascending")), rows, "runs");
}

document.getElementById("runs").addEventListener("sorted", (event) => { sorted = event.detail; });

// ---- two numbers that vary, all else the same

function heats(groups, low) {
  const means = new Map(groups.map((group) => [group.group, group]));
  return data.grids.map((grid) => heat(grid, grid.groups.map((row) => row.map((place) => means.get(place))), low))
    .filter((map) => map !== null);
}

/** A cell is shaded by where its mean lies between the worst and the best of its map. */
function heat(grid, rows, low) {
  const found = rows.flat().filter((group) => group !== undefined);
  if (!found.length) return null;
  const means = found.map((group) => (low ? -group.mean : group.mean));
  const [worst, top] = [Math.min(...means), Math.max(...means)];
  const of = (group, place, down) => {
    if (group === undefined) return h("td", {}, "–");
    const good = low ? -group.mean : group.mean;
    const share = top > worst ? (good - worst) / (top - worst) : 0;
    const said = `${grid.across}=${grid.columns[place]} ${grid.down}=${grid.rows[down]}: ${spread(group)}, ${group.count}`;
    return h("td", { class: good === top ? "top" : null, style: `--share: ${share.toFixed(3)}`, title: said }, number(group.mean, 4));
  };
  const { dataset, method, loss, backbone, split, rule, threshold } = found[0];
  return h("figure", {},
    h("figcaption", {}, h("b", {}, `${dataset} ${method}`), ` ${loss}, ${backbone}; split ${split}, selection ${rule}, `,
      `threshold ${threshold}, ${several(found)}: ${arrowed(low)} `, h("small", { class: "more" }, grid.more)),
    h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "heat" },
      h("thead", {}, h("tr", {}, h("td", {}), h("th", { scope: "colgroup", colspan: grid.columns.length }, grid.across)),
        h("tr", {}, h("th", { scope: "col" }, grid.down), grid.columns.map((value) => h("th", { scope: "col" }, number(value))))),
      h("tbody", {}, rows.map((row, down) => h("tr", {}, h("th", { scope: "row" }, number(grid.rows[down])),
        row.map((group, place) => of(group, place, down))))))));
}

/** "3 seeds", or "2 to 3 runs a cell" */
function several(groups) {
  const counts = groups.map((group) => group.runs);
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return new Set(groups.map((group) => group.count)).size === 1 ? groups[0].count : `${least} to ${most} runs a cell`;
}

// ---- time against quality

function scatters(groups, low) {
  return rivals(groups).map((of) => scatter(of, low));
}

function scatter(groups, low) {
  const [width, height, left, right, top, bottom] = [340, 220, 46, 12, 12, 30];
  const times = groups.map((group) => Math.log10(Math.max(group.seconds, 0.001)));
  const means = groups.map((group) => group.mean);
  const [lowest, most] = padded(Math.min(...means), Math.max(...means), 0.02);
  const least = Math.min(...means) >= 0 ? Math.max(lowest, 0) : lowest;
  const [soonest, latest] = padded(Math.min(...times), Math.max(...times), 0.3);
  const x = (time) => left + ((width - left - right) * (time - soonest)) / (latest - soonest);
  const y = (mean) => height - bottom - ((height - bottom - top) * (mean - least)) / (most - least);
  const text = (at, down, anchor, words) => svg("text", { x: at.toFixed(1), y: down.toFixed(1), "text-anchor": anchor }, words);
  const points = groups.map((group, place) => ({ group, name: apart(group, groups), x: x(times[place]), y: y(group.mean) }));
  const front = unbeaten(points, low);
  const ticks = powers(soonest, latest).map((power) => [
    svg("path", { class: "axis", d: `M${x(power).toFixed(1)} ${height - bottom}v4` }),
    text(x(power), height - bottom + 15, { [soonest]: "start", [latest]: "end" }[power] ?? "middle", duration(10 ** power))]);
  const { dataset, split, rule } = groups[0];
  return h("figure", {},
    h("figcaption", {}, h("b", {}, dataset), ` ${split}, selection ${rule}: ${arrowed(low)}`),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${dataset}: time and ${chosen.metric}` },
      svg("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }), ticks.flat(),
      text(left - 5, top + 8, "end", number(most, 3)), text(left - 5, height - bottom, "end", number(least, 3)),
      svg("path", { class: "front", d: `M${front.map((point) => `${point.x.toFixed(1)} ${point.y.toFixed(1)}`).join("L")}` }),
      points.map((point) => svg("circle", { class: front.includes(point) ? "unbeaten" : null, cx: point.x.toFixed(1), cy: point.y.toFixed(1), r: 3.5 },
        svg("title", {}, `${described(point.group)}: ${spread(point.group)}, ${duration(point.group.seconds)}, ${point.group.count}`))),
      named(front, points).map(({ point, anchor }) =>
        text(point.x + (anchor === "start" ? 6 : -6), point.y + 3.5, anchor, point.name))));
}

/** What tells a point apart in its diagram: its method, and those of the other choices that differ among the method's points. */
function apart(group, groups) {
  const differs = (name, among) => new Set(among.map((each) => each[name])).size > 1;
  const own = groups.filter((each) => each.method === group.method);
  const words = ["loss", "backbone", "threshold"].filter((name) => differs(name, own)).map((name) => group[name]);
  return [...(differs("method", groups) || !words.length ? [group.method] : []), ...words].join(" ");
}

const described = (group) => [group.method, group.loss, group.backbone, group.more].filter(Boolean).join(" ");

function padded(least, most, room) {
  const pad = Math.max((most - least) * 0.08, (room - (most - least)) / 2);
  return [least - pad, most + pad];
}

/** Whole powers of ten in a range; where there are fewer than two of them, its ends. */
function powers(least, most) {
  const found = [];
  for (let power = Math.ceil(least); power <= most; power += 1) found.push(power);
  return found.length > 1 ? found : [least, most];
}

/** The points that none is both faster and better than, the fastest first. */
function unbeaten(points, low) {
  const front = [];
  for (const point of [...points].sort((a, b) => a.x - b.x || (low ? b.y - a.y : a.y - b.y))) {
    if (!front.length || (low ? point.y > front.at(-1).y : point.y < front.at(-1).y)) front.push(point);
  }
  return front;
}

/** Names beside points as far as there is room: first those of the front. */
function named(front, points) {
  const taken = points.map((point) => ({ from: point.x - 4, to: point.x + 4, y: point.y }));
  const found = [];
  for (const point of [...front, ...points.filter((each) => !front.includes(each))]) {
    const wide = point.name.length * 6;
    const boxes = [{ anchor: "start", from: point.x + 5, y: point.y }, { anchor: "end", from: point.x - 5 - wide, y: point.y }]
      .map((box) => ({ ...box, to: box.from + wide }));
    const free = boxes.find((box) => box.from > 48 && box.to < 338 && !taken.some((other) =>
      Math.abs(other.y - box.y) < 10 && other.from < box.to && box.from < other.to));
    if (!free) continue;
    taken.push(free);
    found.push({ point, anchor: free.anchor });
  }
  return found;
}

read();
document.getElementById("filters").replaceChildren(...filters());
draw();

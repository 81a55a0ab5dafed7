// The page of all runs: what is chosen above decides what the parts below show.

const FILTERS = { dataset: "data set", method: "method", loss: "loss" };
const metrics = Object.keys(data.metrics);
const chosen = { metric: metrics.includes("f1_macro") ? "f1_macro" : metrics[0] };
let sorted = { column: null, order: null }; // of the list of results
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
  const choice = h("select", { id: "metric" }, metrics.map((name) => h("option", { value: name, title: data.definitions[name] }, name)));
  const definition = h("small", { id: "definition" }, data.definitions[chosen.metric]);
  choice.value = chosen.metric;
  choice.addEventListener("change", () => {
    chosen.metric = choice.value;
    definition.textContent = data.definitions[chosen.metric];
    draw();
  });
  const more = data.unknown.length > 0 && h("small", {}, ` not known to this version: ${data.unknown.join(", ")}`);
  return [h("p", {}, h("label", {}, "metric ", choice), " ", definition, more), ...Object.entries(FILTERS).map(([name, words]) => chips(name, words))];
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
  document.getElementById("best").replaceChildren(...best(groups, low));
  const maps = heats(groups, low);
  document.getElementById("heat").replaceChildren(...maps);
  document.getElementById("heat-part").hidden = !maps.length;
  const squares = data.matrices.filter((found) => fits(data.groups[found.group]));
  document.getElementById("matrix").replaceChildren(...squares.map(square));
  document.getElementById("matrix-part").hidden = !squares.length;
  const planes = data.maps.filter((map) => fits(data.groups[map.group]));
  document.getElementById("map").replaceChildren(...planes.map(plane));
  document.getElementById("map-part").hidden = !planes.length;
  document.getElementById("scatter").replaceChildren(...scatters(groups, low));
  const compared = ranked(groups, low);
  document.getElementById("ranks").replaceChildren(...ranks(compared));
  document.getElementById("ranks-part").hidden = !compared;
  document.getElementById("runs").replaceChildren(...list(groups, runs, low));
  const again = [...document.querySelectorAll("#runs thead th")].find((th) => th.textContent === sorted.column);
  if (again) sort(again, sorted.order);
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

const arrowed = (low) => `${chosen.metric} ${low ? "↓" : "↑"}`;
const spread = (group) => `${number(group.mean, 4)}${group.std === null ? "" : ` ± ${number(group.std, 4)}${group.folds === null ? "" : ` over ${group.over}`}`}`;
const told = (group) => h("small", { class: "more" }, group.more);
const numeric = { class: "number" };

/** Columns with something to tell; what is the same in all rows is said in a line above. */
function table(rows, columns, name) {
  const same = columns.filter((column) => column.choice && rows.length && new Set(rows.map(column.value)).size === 1);
  const kept = columns.filter((column) => !same.includes(column));
  const said = same.map((column) => `${column.name} ${column.value(rows[0])}`).join(", ");
  const cells = (row) => kept.map((column, place) => h(place ? "td" : "th",
    { "data-value": column.value(row) ?? "", scope: place ? null : "row", ...column.attributes }, column.text ? column.text(row) : column.value(row)));
  return [said && h("p", { class: "about" }, `In all of them: ${said}.`),
    h("div", { class: "scroll", tabindex: "0" }, h("table", { class: `list ${name}` },
      h("thead", {}, h("tr", {}, kept.map((column) => head(column.name, column.first ?? "ascending", "none", column.title)))),
      h("tbody", {}, rows.map((row, place) => h("tr", { "data-place": place }, cells(row))))))].filter(Boolean);
}

const choice = (name, words, of = (row) => row) => ({ name: words, value: (row) => of(row)[name], choice: true });
const measured = (low, of = (row) => row) => ({ name: arrowed(low), title: data.definitions[chosen.metric], first: low ? "ascending" : "descending",
  value: (row) => of(row).mean, text: (row) => h("b", {}, spread(of(row))), attributes: numeric });
const lasting = (of = (row) => row) => ({ name: "time", title: "seconds of a run", value: (row) => of(row).seconds, text: (row) => duration(of(row).seconds), attributes: numeric });

function best(groups, low) {
  const rows = rivals(groups).map((of) => {
    // Of equals the first in the order of the report.
    const [first, second] = [...of].sort((a, b) => (alike(a.mean, b.mean) ? 0 : low ? a.mean - b.mean : b.mean - a.mean));
    return { first, second, count: of.length };
  });
  const first = (row) => row.first;
  return table(rows, [
    { name: "data set", first: "place", value: (row) => row.first.dataset },
    measured(low, first),
    { name: "best method", value: (row) => row.first.method, text: (row) => [h("b", {}, row.first.method), " ", told(row.first)] },
    choice("loss", "loss", first), choice("backbone", "backbone", first), choice("threshold", "threshold", first),
    choice("split", "split", first), choice("rule", "selection", first),
    { name: "runs", first: "descending", value: (row) => row.first.runs, text: (row) => row.first.count, attributes: numeric },
    lasting(first),
    { name: "second", first: low ? "ascending" : "descending", value: (row) => row.second?.mean,
      text: (row) => (row.second ? [`${row.second.method} ${spread(row.second)} `, told(row.second)] : "–") },
    { name: "of", first: "descending", value: (row) => row.count, attributes: numeric },
  ], "bests");
}

/** A row a result; its runs are links to their records, named by seed and fold. */
function list(groups, runs, low) {
  const own = new Map();
  for (const run of runs) own.set(run.group, [...(own.get(run.group) ?? []), run]);
  const of = (group) => own.get(group.group) ?? [];
  const ordered = rivals(groups).flatMap((some) => some.sort((a, b) => (low ? a.mean - b.mean : b.mean - a.mean)));
  const last = (group) => of(group).map((run) => run.finished).sort().at(-1) ?? "";
  const link = (run) => h("a", { href: run.record, title: `${run.key}: ${number(run.value, 4)}` }, run.fold === null ? `${run.seed}` : `${run.seed}/${run.fold}`);
  return table(ordered, [
    { name: "method", value: (group) => group.method, text: (group) => [group.method, " ", told(group)] },
    measured(low),
    choice("dataset", "data set"), choice("loss", "loss"), choice("backbone", "backbone"), choice("threshold", "threshold"),
    choice("split", "split"), choice("rule", "selection"),
    { name: "runs", first: "descending", value: (group) => group.runs, text: (group) => group.count, attributes: numeric },
    lasting(),
    { name: "finished", value: last, text: (group) => last(group).slice(0, 16).replace("T", " ") },
    { name: "records", title: "a link a run, by seed, or seed/fold", value: (group) => group.group,
      text: (group) => h("span", { class: "records" }, of(group).flatMap((run) => [link(run), " "])) },
  ], "runs");
}

document.getElementById("runs").addEventListener("sorted", (event) => {
  sorted = { ...event.detail, column: event.target.textContent };
});

// ---- all data sets together

/** The problems and the methods that make the largest whole: every method has run on every problem. Null where there are not two of each. */
function ranked(groups, low) {
  const problems = rivals(groups).sort((a, b) => b.length - a.length)
    .map((of) => new Map(of.map((group) => [named_by_choices(group), group])));
  let [whole, size] = [null, 0];
  for (let count = 2; count <= problems.length; count += 1) {
    const some = problems.slice(0, count);
    const common = [...some[0].keys()].filter((name) => some.every((problem) => problem.has(name)));
    if (common.length > 1 && common.length * count >= size) [whole, size] = [{ problems: some, names: common }, common.length * count];
  }
  if (!whole) return null;
  const sign = low ? 1 : -1;
  const values = whole.names.map((name) => whole.problems.map((problem) => sign * problem.get(name).mean));
  const count = (test) => (first, second) => first.filter((value, place) => test(value, second[place])).length;
  const [wins, ties] = [count((a, b) => a < b && !alike(a, b)), count(alike)];
  const rows = whole.names.map((name, place) => {
    const others = values.filter((_, other) => other !== place);
    const beaten = others.map((other) => wins(other, values[place])).reduce((a, b) => a + b, 0);
    const level = others.map((other) => ties(other, values[place])).reduce((a, b) => a + b, 0);
    return { name, rank: 1 + (beaten + level / 2) / whole.problems.length, against: values.map((other) => [wins(values[place], other), ties(values[place], other)]), place };
  });
  rows.sort((a, b) => a.rank - b.rank);
  return { rows, problems: whole.problems.map((problem) => [...problem.values()][0]), apart: problems.length - whole.problems.length };
}

/** Its choices, those that say nothing left out. */
const named_by_choices = (group) => [group.method, ...["loss", "backbone", "calibration", "threshold"].map((name) => group[name]).filter((value) => value !== "–"), group.more].filter(Boolean).join(" ");

function ranks(compared) {
  if (!compared) return [];
  const { rows, problems, apart: left } = compared;
  const several = problems.length;
  const words = rows.map(({ name }) => name.split(" "));
  const common = words[0].filter((word) => words.every((all) => all.includes(word)));
  const short = (name) => name.split(" ").filter((word) => !common.includes(word)).join(" ") || name;
  const heads = [head("method", "ascending"), head("mean rank", "ascending"), ...rows.map((row, place) => h("th", { scope: "col", title: short(row.name) }, String(place + 1)))];
  const body = rows.map((row, place) => h("tr", { "data-place": place },
    h("th", { scope: "row", "data-value": short(row.name) }, `${place + 1} ${short(row.name)}`),
    h("td", { "data-value": row.rank, ...numeric }, h("b", {}, number(row.rank, 2))),
    rows.map((other) => {
      if (other === row) return h("td", {});
      const [better, level] = row.against[other.place];
      const said = `${short(row.name)} beside ${short(other.name)}: better on ${better}, level on ${level}, worse on ${several - better - level}`;
      return h("td", { class: better > several - better - level ? "number more-wins" : "number", title: said }, String(better));
    })));
  const few = several < 5 ? ` ${several} data sets say little: a test wants five or more.` : "";
  const missing = left ? ` ${left} more ${left === 1 ? "is" : "are"} left out, where one of them has not run.` : "";
  return [h("p", { class: "about" }, `${rows.length} methods on ${several} data sets (${problems.map((group) => group.dataset).join(", ")}), all of which each has run on.${missing}${few} `,
    common.length ? `In all of them: ${common.join(" ")}.` : ""),
    h("div", { class: "scroll", tabindex: "0" }, h("table", { class: "list wins" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, body)))];
}

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
    return h("td", { class: alike(good, top) ? "top" : null, style: `--share: ${share.toFixed(3)}`, title: said }, number(group.mean, 4));
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

// ---- labels by labels

function square(found) {
  const { dataset, method, loss, backbone, more } = data.groups[found.group];
  const built = [loss, backbone].filter((name) => name !== "–").map((name) => ` ${name}`).join(",");
  const fold = found.fold === null ? "" : `, fold ${found.fold}`;
  return matrix(found, [h("b", {}, `${dataset} ${method}`), `${built}; `, h("small", { class: "more" }, more), ` seed ${found.seed}${fold}: `]);
}

// ---- embeddings

const coloured = new Map(); // map -> the label that was chosen

/** A row a point; those that carry the label come last, and lie above the others. */
function plane(map) {
  const { dataset, method, loss, backbone, more } = data.groups[map.group];
  const counts = map.labels.map((_, label) => map.carried.filter((own) => own.includes(label)).length);
  const choice = h("select", {}, map.labels.map((name, label) => h("option", { value: label }, `${name} (${counts[label]})`)));
  choice.value = coloured.get(map) ?? counts.indexOf(Math.max(...counts));
  const [width, height, edge] = [400, 300, 8];
  const scale = (axis, size) => {
    const values = map.places.map((place) => place[axis]);
    const [least, most] = [Math.min(...values), Math.max(...values)];
    return (value) => (edge + ((value - least) / (most - least || 1)) * (size - 2 * edge)).toFixed(1);
  };
  const [x, y] = [scale(0, width), scale(1, height)];
  const points = map.places.map((place, row) => svg("circle", { cx: x(place[0]), cy: y(place[1]), r: 2 },
    svg("title", {}, `row ${map.ids[row]}: ${map.carried[row].map((label) => map.labels[label]).join(", ") || "no label"}`)));
  const drawing = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const colour = () => {
    const label = Number(choice.value);
    coloured.set(map, label);
    const carries = (row) => map.carried[row].includes(label);
    points.forEach((point, row) => point.setAttribute("class", carries(row) ? "carries" : "lacks"));
    drawing.setAttribute("aria-label", `${dataset} ${method}: ${counts[label]} of ${points.length} rows carry ${map.labels[label]}`);
    drawing.replaceChildren(...points.filter((_, row) => !carries(row)), ...points.filter((_, row) => carries(row)));
  };
  choice.addEventListener("change", colour);
  colour();
  const shown = points.length < map.rows ? `${points.length} of ${map.rows} rows, at equal distances` : `${map.rows} rows`;
  return h("figure", {},
    h("figcaption", {}, h("b", {}, `${dataset} ${method}`), ` ${loss}, ${backbone}; seed ${map.seed}${map.fold === null ? "" : `, fold ${map.fold}`}; ${map.how}, ${shown} `,
      h("small", { class: "more" }, more), h("label", {}, " label ", choice)), drawing);
}

// ---- time against quality

function scatters(groups, low) {
  const timed = groups.filter((group) => group.seconds !== null); // not those of other programs
  return rivals(timed).map((of) => scatter(of, low));
}

function scatter(groups, low) {
  const [width, height, left, right, top, bottom] = [340, 240, 60, 12, 12, 46];
  const times = groups.map((group) => Math.log10(Math.max(group.seconds, 0.001)));
  const means = groups.map((group) => group.mean);
  const ends = groups.flatMap((group) => [group.mean - (group.std ?? 0), group.mean + (group.std ?? 0)]);
  const [lowest, most] = padded(Math.min(...ends), Math.max(...ends), 0.02);
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
      text((left + width - right) / 2, height - 6, "middle", "time of a run"),
      svg("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(12 ${(top + height - bottom) / 2}) rotate(-90)` }, arrowed(low)),
      groups.map((group, place) => group.std === null ? null : svg("path", { class: "error", d:
        `M${x(times[place]).toFixed(1)} ${y(Math.max(group.mean - group.std, least)).toFixed(1)}V${y(group.mean + group.std).toFixed(1)}` })),
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
  const words = ["loss", "backbone", "calibration", "threshold"].filter((name) => differs(name, own)).map((name) => group[name]);
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
    const free = boxes.find((box) => box.from > 62 && box.to < 338 && !taken.some((other) =>
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

// The page of one table: views, the panel behind a cell, bars of the labels.

// ---- views, one at a time

const views = [...document.querySelectorAll(".view")];
const tabs = [...document.querySelectorAll("[role=tab]")];

function view(chosen) {
  tabs.forEach((tab, place) => {
    tab.setAttribute("aria-selected", place === chosen);
    tab.tabIndex = place === chosen ? 0 : -1;
    views[place].hidden = place !== chosen;
  });
}

if (tabs.length) {
  tabs[0].parentElement.hidden = false;
  view(0);
  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => view(place));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      const next = (place + step + tabs.length) % tabs.length;
      view(next);
      tabs[next].focus();
    });
  });
}

// ---- what is behind a cell

const panel = document.getElementById("panel");
const SIGNS = { finished: "✓", failed: "✗", missing: "·" };

document.addEventListener("click", (event) => {
  const cell = event.target.closest("[data-cell]");
  if (cell) open(data.cells[cell.dataset.cell]);
  if (event.target === panel || event.target.closest(".close")) panel.close();
});

function open(cell) {
  const at = data.cases[cell.case];
  const parts = [
    h("button", { type: "button", class: "close", "aria-label": "close" }, "✕"),
    h("p", { class: "kicker" }, [at.problem, `selection ${data.rule}`].filter(Boolean).join(" · ")),
    h("h2", { id: "panel-title" }, `${at.method}: ${cell.metric}`),
    compared(cell),
    at.not_run ? h("p", { class: "failure" }, `Not run: ${at.not_run}`) : runs(cell, at),
    at.runs.length > 0 && commands(at),
    learning(at),
    ...(at.matrices.length ? [h("h3", {}, `Labels and labels, seed ${placed({ seed: at.curves_seed, fold: at.curves_fold })}`)] : []),
    ...at.matrices.map((found) => matrix(found, [])),
    at.runs.length > 0 && configurations(at),
  ];
  panel.replaceChildren(...parts.filter(Boolean));
  panel.showModal();
  panel.scrollTop = 0;
}

/** Ours, theirs, and what that means. */
function compared(cell) {
  const count = cell.values.filter((value) => value !== null).length;
  const over = cell.std !== null && `, ± over ${cell.over}`;
  const runs = cell.planned > 0 && `${count} of ${cell.planned} ${cell.planned === 1 ? "run" : "runs"}${over || ""}`;
  const { theirs } = cell;
  const line = (name, mean, std, more) =>
    h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, mean), std && ` ± ${std}`, more && h("small", {}, more)));
  const better = cell.better === "low" ? "lower is better" : "higher is better";
  return h(
    "dl",
    { class: "compared" },
    line("ours", number(cell.mean, data.decimals), cell.std !== null && number(cell.std, data.decimals), runs),
    data.published && line("theirs", theirs?.mean ?? "–", theirs?.std, theirs?.note || (cell.verdict === "not compared" && cell.reason)),
    data.published && line("difference", signed(cell.difference), null, cell.verdict),
    line("metric", cell.measured, null, [better, cell.note].filter(Boolean).join("; ")),
  );
}

function signed(value) {
  const text = number(value, data.decimals);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

function runs(cell, at) {
  const folds = at.runs.some((run) => run.fold !== null);
  const heads = [["seed", "ascending"], ...(folds ? [["fold", "ascending"]] : []), ["state", "ascending"], [cell.metric, "descending"], ["time", "ascending"],
    ["memory", "ascending"], ["folder/key", "ascending"]];
  const rows = at.runs.map((run, place) =>
    h(
      "tr",
      { "data-place": place },
      h("td", { "data-value": run.seed }, String(run.seed)),
      folds && h("td", { "data-value": run.fold }, String(run.fold)),
      h("td", { "data-value": run.state, "data-state": run.state }, `${SIGNS[run.state]} ${run.state}`),
      h("td", { "data-value": cell.values[place] ?? "" }, number(cell.values[place], data.decimals + 2)),
      h("td", { "data-value": run.seconds ?? "" }, duration(run.seconds)),
      h("td", { "data-value": run.memory ?? "" }, run.memory === null ? "–" : `${Math.round(run.memory / 2 ** 20)} MiB`),
      h("td", { "data-value": run.folder }, h("code", { title: `key ${run.key}` }, run.folder)),
    ),
  );
  const failures = at.runs.filter((run) => run.reason);
  return h(
    "section",
    {},
    h("h3", {}, "Runs"),
    h("div", { class: "scroll" }, h("table", { class: "list" },
      h("thead", {}, h("tr", {}, heads.map(([name, first]) => head(name, first)))), h("tbody", {}, rows))),
    failures.map((run) => h("p", { class: "failure" }, `Seed ${placed(run)} failed: ${run.reason}`)),
  );
}

/** "3", or "3, fold 7" where there are folds. */
const placed = (run) => `${run.seed}${run.fold === null ? "" : `, fold ${run.fold}`}`;

function commands(at) {
  return h("section", {}, h("h3", {}, "Commands"),
    h("div", { class: "scroll" }, h("pre", {}, at.runs.map((run) => `${run.command}\n`))));
}

/** The resolved configuration, once for all runs that share it. */
function configurations(at) {
  const seeds = new Map();
  for (const run of at.runs) {
    const name = JSON.stringify(run.config);
    seeds.set(name, [...(seeds.get(name) ?? []), placed(run)]);
  }
  return h("section", {}, h("h3", {}, "Configuration"), [...seeds].map(([name, of]) => {
    const places = Object.entries(JSON.parse(name));
    const config = Object.fromEntries(places.map(([key, place]) => [key, data.pool[place]]));
    return h("details", {}, h("summary", {}, `resolved, seed ${of.join("; ")}`),
      h("div", { class: "scroll" }, h("pre", {}, JSON.stringify(config, null, 2))));
  }));
}

// ---- learning curves

function learning(at) {
  const stages = Object.entries(at.curves);
  if (!stages.length) return null;
  const charts = stages.flatMap(([stage, { epoch, ...columns }]) =>
    Object.entries(columns).map(([column, values]) => curve(`${stage}: ${column.replaceAll("_", " ")}`, epoch, values)));
  return h("section", {}, h("h3", {}, `Learning curves, seed ${placed({ seed: at.curves_seed, fold: at.curves_fold })}`), h("div", { class: "charts" }, charts));
}

/** One small chart: its least and its largest value and the epochs are the only marks on its axes. */
function curve(name, epochs, values) {
  const [width, height, left, bottom, top] = [200, 116, 42, 18, 8];
  const known = values.filter((value) => value !== null);
  if (known.length < 2) return null;
  const [least, largest] = [Math.min(...known), Math.max(...known)];
  const [first, last] = [epochs[0], epochs.at(-1)];
  const x = (epoch) => left + ((width - left - 8) * (epoch - first)) / (last - first || 1);
  const y = (value) => height - bottom - ((height - bottom - top) * (value - least)) / (largest - least || 1);
  const points = values.map((value, place) => value === null ? null : `${x(epochs[place]).toFixed(1)} ${y(value).toFixed(1)}`);
  const label = (at, height, anchor, text) => svg("text", { x: at, y: height, "text-anchor": anchor }, text);
  return h("figure", {}, h("figcaption", {}, name),
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${name}: ${short(known[0])} to ${short(known.at(-1))}` },
      svg("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - 8}` }),
      label(left - 5, top + 8, "end", short(largest)), label(left - 5, height - bottom, "end", short(least)),
      label(left, height - 4, "start", `epoch ${first}`), label(width - 8, height - 4, "end", String(last)),
      svg("path", { class: "curve", d: `M${points.filter(Boolean).join("L")}` })));
}

const short = (value) => String(Number(value.toPrecision(3))).replace("-", "\u2212");

// ---- label by label

const labels = document.getElementById("labels");

if (data.labels.length || data.labels_differ.length) {
  const choice = labels.querySelector("select");
  choice.append(...data.labels.map((each, place) => h("option", { value: place }, each.problem || "all")));
  choice.addEventListener("change", () => bars(data.labels[choice.value]));
  labels.hidden = false;
  labels.querySelector(".controls").hidden = data.labels.length < 2;
  if (data.labels.length) bars(data.labels[0]);
  if (data.labels_differ.length) {
    labels.append(h("p", { class: "about" },
      `Left out, because their runs do not have the same labels: ${data.labels_differ.join(", ")}.`));
  }
}

/** A row a label, a column a method, a bar for F1. */
function bars({ labels: names, support, methods, rule }) {
  const heads = [head("label", "place"), head("positives", "descending"),
    ...methods.map((method) => head(method.name, "descending"))];
  const rows = names.map((name, place) => {
    const values = methods.map((method) => method.f1[place]);
    const best = Math.max(...values);
    return h("tr", { "data-place": place }, h("th", { scope: "row" }, name),
      h("td", { "data-value": support[place] ?? "" }, number(support[place], Number.isInteger(support[place]) ? 0 : 1)),
      values.map((value) => h("td", { class: "bar", "data-value": value ?? "", style: `--part: ${value ?? 0}` },
        h(alike(value, best) && value > 0 ? "b" : "span", {}, number(value, 3)))));
  });
  const runs = [...new Set(methods.map((method) => method.runs))].join(" or ");
  labels.querySelector("p.about").textContent =
    `F1 of every label on the test part, mean over ${runs} ${runs === "1" ? "run" : "runs"}, selection ${rule}; bold: the best; ` +
    "positives: instances of the test part that have the label, mean over all runs.";
  labels.querySelector(".scroll").replaceChildren(h("table", { class: "list bars" },
    h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

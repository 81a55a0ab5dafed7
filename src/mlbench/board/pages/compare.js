// Two rows of the board, as chosen; the address keeps the choice.

const UNIT = 10000;
const choice = Object.fromEntries(["first", "second", "metric"].map((name) => [name, document.getElementById(name)]));

function fill() {
  for (const name of ["first", "second"]) choice[name].append(...data.rows.map(([title], place) => h("option", { value: place }, title)));
  choice.metric.append(...data.metrics.map(({ name }, place) => h("option", { value: place }, name)));
  [choice.first.value, choice.second.value] = data.chosen;
  choice.metric.value = data.metric;
  const address = new URLSearchParams(location.hash.slice(1));
  for (const [name, list] of [["first", choice.first], ["second", choice.second]]) {
    const place = data.rows.findIndex(([, method, variant]) => `${method} ${variant}` === address.get(name));
    if (place >= 0) list.value = place;
  }
  const metric = data.metrics.findIndex(({ id }) => id === address.get("metric"));
  if (metric >= 0) choice.metric.value = metric;
}

function keep() {
  const row = (list) => data.rows[list.value].slice(1, 3).join(" ");
  const address = { first: row(choice.first), second: row(choice.second), metric: data.metrics[choice.metric.value].id };
  history.replaceState(null, "", `#${new URLSearchParams(address)}`);
}

/** The bootstrap of the first minus the second, if it was made: difference, low, high, p. */
function tested(metric, dataset, first, second) {
  for (const [one, other, difference, low, high, p] of data.pairs[`${metric} ${dataset}`] ?? []) {
    if (one === first && other === second) return { difference, low, high, p };
    if (one === second && other === first) return { difference: -difference, low: -high, high: -low, p };
  }
  return null;
}

const shown = (value, sign) => value === null ? "–" : `${sign && value > 0 ? "+" : ""}${number(value / UNIT, 3)}`;

function compared(metric, dataset, first, second) {
  const line = data.means[metric][dataset];
  const [one, other] = [line[first], line[second]];
  const found = tested(metric, dataset, first, second);
  const difference = found?.difference ?? (one === null || other === null ? null : one - other);
  return { one, other, difference, low: found?.low ?? null, high: found?.high ?? null, p: found?.p ?? null };
}

function outcome(metric, { difference, low, high }) {
  const sign = data.metrics[metric].better === "high" ? 1 : -1;
  const sure = low !== null && (low > 0 || high < 0);
  return { better: difference === null ? null : Math.sign(difference) * sign, sure };
}

function datasets(metric, first, second) {
  const heads = [head("data set", "place"), head(data.rows[first][0], "descending"), head(data.rows[second][0], "descending"),
    head("difference", "descending"), head("95 % interval", "descending"), head("p", "ascending")];
  const rows = data.datasets.map(([title, address], place) => {
    const each = compared(metric, place, first, second);
    const { better, sure } = outcome(metric, each);
    const cell = (value, text, kind = null) => h("td", { "data-value": value ?? "", class: kind }, text);
    return h("tr", { "data-place": place }, h("th", { scope: "row" }, h("a", { href: address }, title)),
      cell(each.one, shown(each.one)), cell(each.other, shown(each.other)),
      cell(each.difference, shown(each.difference, true), sure && (better > 0 ? "better-by" : "worse-by")),
      cell(each.low, each.low === null ? "–" : `${shown(each.low, true)} to ${shown(each.high, true)}`),
      cell(each.p, each.p === null ? "–" : each.p / UNIT < 0.001 ? "<.001" : number(each.p / UNIT, 3)));
  });
  return scrolled(heads, rows, "on every data set");
}

function metrics(first, second) {
  const heads = [head("metric", "place"), ...["better", "worse", "equal", "better beyond the interval", "worse beyond the interval"].map((name) => head(name, "descending")),
    head(`rating of ${data.rows[first][0]}`, "descending"), head(`rating of ${data.rows[second][0]}`, "descending")];
  const rows = data.metrics.map(({ name, id }, metric) => {
    const found = data.datasets.map((_, place) => outcome(metric, compared(metric, place, first, second)));
    const count = (fits) => { const value = found.filter(fits).length; return h("td", { "data-value": value }, String(value)); };
    const rating = (row) => { const elo = data.elo[metric][row]; return h("td", { "data-value": elo?.[0] ?? "" }, elo ? [`${elo[0]} `, elo[1] < elo[2] && h("i", {}, `${elo[1]}–${elo[2]}`)] : "–"); };
    return h("tr", { "data-place": metric }, h("th", { scope: "row" }, h("a", { href: `metric-${id}.html` }, name)),
      count(({ better }) => better > 0), count(({ better }) => better < 0), count(({ better }) => better === 0),
      count(({ better, sure }) => sure && better > 0), count(({ better, sure }) => sure && better < 0),
      rating(first), rating(second));
  });
  return scrolled(heads, rows, "by every metric");
}

function scrolled(heads, rows, label) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": label },
    h("table", { class: "grid" }, h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows)));
}

function draw() {
  keep();
  const [first, second, metric] = ["first", "second", "metric"].map((name) => Number(choice[name].value));
  document.getElementById("datasets").replaceChildren(datasets(metric, first, second));
  document.getElementById("metrics").replaceChildren(metrics(first, second));
}

if (data.rows.length) {
  fill();
  const form = document.getElementById("choose");
  form.hidden = false;
  form.addEventListener("change", draw);
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("swap").addEventListener("click", () => {
    [choice.first.value, choice.second.value] = [choice.second.value, choice.first.value];
    draw();
  });
  draw();
}

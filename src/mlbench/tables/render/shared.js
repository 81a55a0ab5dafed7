"use strict";

// What both pages use: elements, numbers, tables that sort.

const data = JSON.parse(document.getElementById("data").textContent);

/** Whether two values are one: a smaller difference comes from the order in which numbers were added. */
const alike = (one, other) => Math.abs(one - other) < 1e-9;

/** h("td", {class: "x"}, "text", child): an element. null and false are left out. */
function h(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** With a true minus sign; "–" where there is none. Without decimals as short as it can be. */
function number(value, decimals) {
  if (value === null || value === undefined) return "–";
  return (decimals === undefined ? String(value) : value.toFixed(decimals)).replaceAll("-", "\u2212");
}

/** A figure of labels by labels: the more colour the further from 0, another colour below it; up to 14 labels with numbers. */
function matrix(found, whose) {
  const { labels, values, of } = found;
  const all = values.flat();
  const far = Math.max(...all.map(Math.abs)) || 1;
  const decimals = all.every(Number.isInteger) ? 0 : Math.min(Math.max(1 - Math.floor(Math.log10(far)), 0), 6);
  const words = (value) => number(Number(value.toFixed(decimals)) === 0 ? 0 : value, decimals);
  const colour = (value) => ({ class: value < 0 ? "below" : "above", style: `--share: ${(Math.abs(value) / far).toFixed(3)}` });
  const numbers = labels.length <= 14;
  const cell = (value, row, column) => h("td", { ...colour(value), title: `${labels[row]}, ${labels[column]}: ${number(value)}` }, numbers && words(value));
  const scale = (all.some((value) => value < 0) ? [-far, -far / 2] : []).concat([0, far / 2, far]);
  const legend = h("span", { class: "scale" }, scale.map((value) => h("span", colour(value), number(Number(value.toPrecision(2))))));
  const left_out = of > labels.length ? `; the ${labels.length} of ${of} labels with the most training rows` : "";
  return h("figure", {},
    h("figcaption", {}, whose, `${found.name}, ${found.said}${left_out}`, legend),
    h("div", { class: "scroll", tabindex: "0" }, h("table", { class: `matrix ${numbers ? "" : "small"}` },
      h("thead", {}, h("tr", {}, h("td", {}), labels.map((name) => h("th", { scope: "col", title: name }, h("span", {}, name))))),
      h("tbody", {}, values.map((row, down) => h("tr", {}, h("th", { scope: "row", title: labels[down] }, labels[down]), row.map((value, across) => cell(value, down, across))))))));
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 600) return `${seconds.toPrecision(seconds < 1 ? 2 : 3)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** A head that sorts: data-first says how at the first click, and "place" restores the order of old. */
function head(text, first, sorted = "none", title = null) {
  return h("th", { scope: "col", "aria-sort": sorted, "data-first": first, title }, h("button", { type: "button" }, text));
}

document.addEventListener("click", (event) => {
  const chosen = event.target.closest("th[data-first] button")?.closest("th");
  if (!chosen) return;
  const now = chosen.getAttribute("aria-sort");
  const next = { ascending: "descending", descending: "ascending" }[now] ?? chosen.dataset.first;
  sort(chosen, next);
  chosen.dispatchEvent(new CustomEvent("sorted", { bubbles: true, detail: { column: chosen.cellIndex, order: next } }));
});

/** Sorts the rows by a column's data-value; rows without one come last, equal rows keep their order of old. */
function sort(chosen, order) {
  const table = chosen.closest("table");
  for (const other of table.tHead.querySelectorAll("th[data-first]")) other.setAttribute("aria-sort", "none");
  const rows = [...table.tBodies[0].rows].sort((a, b) => a.dataset.place - b.dataset.place);
  if (order !== "place") {
    chosen.setAttribute("aria-sort", order);
    const values = new Map(rows.map((row) => [row, row.cells[chosen.cellIndex].dataset.value ?? ""]));
    const numeric = [...values.values()].every((value) => !Number.isNaN(Number(value)));
    const sign = order === "ascending" ? 1 : -1;
    rows.sort((a, b) => {
      const [first, second] = [values.get(a), values.get(b)];
      if (first === "" || second === "") return (first === "") - (second === "");
      return sign * (numeric ? first - second : first.localeCompare(second, "en", { numeric: true }));
    });
  }
  table.tBodies[0].append(...rows);
}

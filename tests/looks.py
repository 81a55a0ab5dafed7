"""Scripts that look at a page from inside: each clicks, and returns what it found."""

# What every look begins with.
HANDS = """
const find = (selector, from = document) => from.querySelector(selector);
const all = (selector, from = document) => [...from.querySelectorAll(selector)];
const fits = () => document.documentElement.scrollWidth <= innerWidth;
const heads = (table) => all("thead th", table).map((th) => th.getAttribute("aria-sort"));
const column = (table, number) => all("tbody tr", table).map((row) => row.cells[number].dataset.value ?? "");
const names = (table) => all("tbody tr", table).map((row) => row.cells[0].textContent);
"""

# Every text that can be seen: its colour and the first background below it.
COLOURS = """(() => {
  const found = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const of = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !of.checkVisibility({ visibilityProperty: true })) continue;
    let below = of;
    while (getComputedStyle(below).backgroundColor === "rgba(0, 0, 0, 0)") below = below.parentElement;
    const opaque = getComputedStyle(below).backgroundColor;
    found.push([getComputedStyle(of).color, opaque, walk.currentNode.textContent.slice(0, 20)]);
  }
  return found;
})()"""

LOOK_AT_TABLE = """
const table = find(".grid"), button = find("thead th:nth-child(2) button", table), orders = [names(table)];
const said = { fits: [fits()] };
const right = (node) => {
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getBoundingClientRect().right;
};
const second = ["thead th:nth-child(2) button", "tbody td:nth-child(2) .ours"];
said.ends = second.map((place) => right(find(place, table)));
said.names = all(".grid tbody th:first-child, .pairs tbody th").map((th) => th.clientWidth);
for (let click = 0; click < 2; click += 1) {
  button.click();
  orders.push([heads(table)[1], column(table, 1)]);
}
find("thead th button", table).click();
orders.push(names(table), heads(table)[1]);
const seen = all("h1, h2, h3, h4").filter((head) => head.offsetParent);
said.levels = seen.map((head) => Number(head.tagName[1]));
said.scrolls = find(".scroll", find(".block")).scrollWidth > find(".scroll", find(".block")).clientWidth;
said.tabs = [all(".view").map((view) => view.hidden)];
find("#tab-1").click();
said.tabs.push(all(".view").map((view) => view.hidden), find("#tab-1").getAttribute("aria-selected"));
find("#tab-0").click();
const panel = find("#panel");
said.panels = [0, 2, 4].map((number) => {
  find(`[data-cell="${number}"]`).click();
  said.fits.push(fits() && panel.scrollWidth <= panel.clientWidth);
  const shown = { open: panel.open, text: panel.textContent,
    rows: all("tbody tr:not(.matrix *)", panel).length,
    found: all(".matrix tbody td", panel).map((td) => td.textContent),
    curves: all("path.curve", panel).map((path) => path.getAttribute("d").split("L").length),
    details: all("details", panel).map((details) => [details.open, details.textContent]),
    button: find(`[data-cell="${number}"]`).tagName };
  find(".close", panel).click();
  return { ...shown, closed: !panel.open };
});
const labels = find("#labels table");
const bars = all(".bar", labels).map((bar) => bar.style.getPropertyValue("--part").trim());
said.labels = { names: names(labels), bars };
find("thead th:nth-child(3) button", labels).click();
said.labels.sorted = names(labels);
return { ...said, orders };
"""

LOOK_AT_MANY = """
const box = find(".block .scroll"), widest = [];
for (const name of all(".grid tbody th:first-child", box)) {
  const range = document.createRange(), text = name.firstChild.firstChild ?? name.firstChild;
  for (const word of name.textContent.matchAll(/[^ ]+/g)) {
    range.setStart(text, word.index);
    range.setEnd(text, word.index + word[0].length);
    if (range.getClientRects().length > 1) widest.push(word[0]);
  }
}
return { fits: [fits()], scrolls: box.scrollWidth > box.clientWidth, broken: widest };
"""

LOOK_AT_REPORT = """
const runs = () => find("#runs table"), said = { fits: [fits()], rows: [names(runs()).length] };
const values = () => column(runs(), 1);
said.heads = all("#best thead th, #runs thead th").map((th) => th.textContent);
const cut = (box) => box.scrollWidth > box.clientWidth;
said.cut = all(".scroll").filter(cut).map((box) => box.textContent.slice(0, 40));
const box = find("#runs .scroll"), before = find("tbody th", box).getBoundingClientRect().left;
box.scrollLeft = 150;
said.moved = [box.scrollLeft, find("tbody th", box).getBoundingClientRect().left - before];
said.levels = all("h1, h2, h3, h4").filter((h) => h.offsetParent).map((h) => Number(h.tagName[1]));
said.options = all("#metric option").map((option) => [option.value, option.title]);
said.ranks = all("#ranks tbody tr").map((row) => [...row.cells].map((cell) => cell.textContent));
said.about = find("#ranks .about").textContent;
find("#runs thead th:nth-child(2) button").click();
said.sorted = [heads(runs())[1], values()];
find("input[name=method][value=ant]").click();
said.rows.push(names(runs()).length);
said.still = [heads(runs())[1], values()];
said.constant = all("#runs thead th, #runs .about").map((each) => each.textContent);
find("#metric").value = "hamming_loss";
find("#metric").dispatchEvent(new Event("change"));
said.metric = values();
said.best = all("#best tbody tr").map((row) => [...row.cells].map((cell) => cell.textContent));
find("input[name=method][value=ant]").click();
said.rows.push(names(runs()).length);
said.winners = all("#best tbody tr").map((row) => row.cells[2].dataset.value);
said.points = all("#scatter svg").map((svg) => [all("circle", svg).length, all("path.error", svg).length]);
said.axes = all("#scatter svg text").map((text) => text.textContent);
said.links = all("#runs a").map((a) => a.getAttribute("href"));
said.hash = location.hash;
said.fits.push(fits());
return said;
"""

LOOK_AT_MAP = """
const section = find("#map-part"), said = { fits: [fits()], hidden: [section.hidden] };
const coloured = () => all("#map circle.carries title").map((title) => title.textContent);
said.options = all("#map option").map((option) => option.textContent);
said.coloured = [coloured()];
said.caption = find("#map figcaption").textContent;
const choice = find("#map select");
choice.value = "1";
choice.dispatchEvent(new Event("change"));
said.coloured.push(coloured());
said.label = find("#map svg").getAttribute("aria-label");
said.last = find("#map svg").lastChild.getAttribute("class");
const across = all("#map circle").map((circle) => Number(circle.getAttribute("cx")));
said.boxes = [Math.min(...across), Math.max(...across)];
find("input[name=method][value=ant]").click();
said.hidden.push(section.hidden);
find("input[name=method][value=ant]").click();
said.coloured.push(coloured());
said.fits.push(fits());
return said;
"""

LOOK_AT_MATRIX = """
const section = find("#matrix-part"), said = { fits: [fits()], hidden: [section.hidden] };
const figures = () => all("#matrix figure");
said.captions = figures().map((figure) => find("figcaption", figure).textContent);
const words = (selector, figure) => all(selector, figure).map((node) => node.textContent);
said.heads = figures().map((figure) => [words("thead th", figure), words("tbody th", figure)]);
said.texts = figures().map((figure) => words("tbody td", figure));
const cells = all("tbody td", figures()[0]), legend = all(".scale span", figures()[0]);
const share = (node) => node.style.getPropertyValue("--share");
said.titles = cells.map((td) => td.title);
said.shares = cells.map((td) => [td.className, share(td)]);
said.legend = legend.map((span) => [span.textContent, share(span)]);
const styles = [...cells, ...legend].map((node) => getComputedStyle(node));
said.colours = styles.map((style) => [style.color, style.backgroundColor]);
const box = find(".scroll", figures()[1]), name = find("tbody th", box);
const at = () => name.getBoundingClientRect().left;
said.wide = box.scrollWidth > box.clientWidth;
const before = at();
box.scrollLeft = 100;
said.moved = at() - before;
said.squares = all("tbody td", box).slice(0, 3).map((td) => [td.offsetWidth, td.offsetHeight]);
find("input[name=method][value=ant]").click();
said.hidden.push(section.hidden);
find("input[name=method][value=ant]").click();
said.hidden.push(section.hidden);
said.fits.push(fits());
return said;
"""

LOOK_AT_FOLDS = """
const box = find("#best .scroll").getBoundingClientRect(), cells = all("#best tbody td:nth-child(2)");
const whole = cells.map((cell) => cell.firstChild.getBoundingClientRect().right <= box.right);
return { fits: [fits()], numbers: cells.map((cell) => cell.textContent), whole };
"""

LOOK_AT_TIES = """
const texts = (row) => [...row.cells].map((cell) => cell.textContent);
return { fits: [fits()], ranks: all("#ranks tbody tr").map(texts), best: all("#best tbody tr").map(texts) };
"""

LOOK_AT_HEAT = """
const section = find("#heat-part"), maps = () => all("#heat table"), said = { fits: [fits()] };
const shades = () => all("#heat tbody td").map((td) => td.style.getPropertyValue("--share").trim());
const top = () => all("#heat td.top").map((td) => td.textContent);
said.heads = all("#heat th").map((th) => th.textContent);
said.texts = all("#heat tbody td").map((td) => td.textContent);
said.caption = find("#heat figcaption").textContent;
said.titles = all("#heat tbody td").map((td) => td.title);
said.high = [shades(), top()];
find("#metric").value = "hamming_loss";
find("#metric").dispatchEvent(new Event("change"));
said.low = [shades(), top()];
const styles = all("#heat tbody td").map((td) => getComputedStyle(td));
said.colours = styles.map((style) => [style.color, style.backgroundColor]);
find("input[name=dataset][value=scene]").click();
said.filtered = [maps().length, section.hidden];
said.names = all("#scatter svg text").map((text) => text.textContent);
said.fits.push(fits());
return said;
"""

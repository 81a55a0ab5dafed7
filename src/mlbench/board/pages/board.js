// What all pages of the board can do: a theme, tables that are narrowed by words and variant, plots that are saved.

// ---- light and dark: as the reader's system says, until they choose

const theme = document.getElementById("theme");
const dark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const remembered = () => { try { return localStorage.getItem("theme"); } catch { return null; } };

function shine(scheme) {
  document.documentElement.style.colorScheme = scheme ?? "";
  theme.textContent = (scheme ?? (dark() ? "dark" : "light")) === "dark" ? "Light" : "Dark";
}

theme.hidden = false;
theme.addEventListener("click", () => {
  const scheme = theme.textContent.toLowerCase();
  try { localStorage.setItem("theme", scheme); } catch { /* a page from a file may not remember */ }
  shine(scheme);
});
shine(remembered());
// On paper it is light, whatever was chosen.
addEventListener("beforeprint", () => { document.documentElement.style.colorScheme = ""; });
addEventListener("afterprint", () => shine(remembered()));

// ---- a table narrowed

for (const form of document.querySelectorAll("form.narrow")) {
  const rows = [...document.getElementById(form.dataset.table).tBodies[0].rows];
  const words = form.querySelector("input[type=search]"), said = form.querySelector("output");
  const narrow = () => {
    const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const variant = form.querySelector("input[type=radio]:checked")?.value ?? "";
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !asked.every((word) => text.includes(word)) || (variant !== "" && row.dataset.variant !== variant);
    }
    const left = rows.filter((row) => !row.hidden).length;
    said.textContent = left < rows.length ? `${left} of ${rows.length}` : "";
  };
  form.hidden = false;
  form.addEventListener("input", narrow);
  form.addEventListener("submit", (event) => event.preventDefault());
}

// ---- a plot saved: its colours are written into it, those of the light page

const KEPT = ["fill", "stroke"];

function saved(drawing) {
  const root = document.documentElement, before = root.style.colorScheme;
  root.style.colorScheme = "light";
  const copy = drawing.cloneNode(true);
  const originals = [drawing, ...drawing.querySelectorAll("*")], copies = [copy, ...copy.querySelectorAll("*")];
  originals.forEach((original, place) => {
    for (const name of KEPT) {
      const said = original.getAttribute(name);
      if (said && said !== "none") copies[place].setAttribute(name, hex(getComputedStyle(original)[name]));
    }
  });
  root.style.colorScheme = before;
  const [, , width, height] = copy.getAttribute("viewBox").split(" ");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.removeAttribute("style");
  return new XMLSerializer().serializeToString(copy);
}

/** rgb(1, 2, 3) → #010203, which every program knows. */
function hex(colour) {
  const numbers = colour.match(/^rgb\((\d+), (\d+), (\d+)\)$/);
  return numbers ? `#${numbers.slice(1).map((each) => Number(each).toString(16).padStart(2, "0")).join("")}` : colour;
}

for (const button of document.querySelectorAll("button.download")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const text = saved(button.closest("figure").querySelector("svg"));
    const file = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    h("a", { href: file, download: button.dataset.name }).click();
    setTimeout(() => URL.revokeObjectURL(file), 1000);
  });
}

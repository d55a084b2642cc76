// Sorting by a click on a head, and one filter for all tables.

function sortKey(row, column) {
  const cell = row.cells[column];
  const value = cell.dataset.value;
  return value === undefined ? cell.textContent : Number(value);
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // cells without a number come last, either way
  return a.localeCompare(b, undefined, { numeric: true });
}

function sortBy(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const descending = head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => [sortKey(row, column), row]);
  keyed.sort(([a], [b]) => (descending && typeof a === typeof b ? compare(b, a) : compare(a, b)));
  body.append(...keyed.map(([, row]) => row));
  markGroups(table);
}

// A line above where another dataset begins; the same name again is only faint.
function markGroups(table) {
  let last;
  for (const row of table.tBodies[0].rows) {
    if (row.hidden) continue;
    const name = row.cells[0].textContent;
    row.classList.toggle("again", name === last);
    last = name;
  }
}

// A table wider than the window has deviations below the means and heads of several lines.
function fitWidths() {
  for (const box of document.querySelectorAll(".wide")) {
    box.classList.remove("dense");
    box.classList.toggle("dense", box.scrollWidth > box.clientWidth);
  }
}

// Names that are switched off, by the head of their column.
const off = { Dataset: new Set(), Method: new Set() };

function unchosen(row) {
  const heads = row.closest("table").tHead.rows[0].cells;
  return [...heads].some((head, i) => off[head.textContent]?.has(row.cells[i].textContent));
}

for (const chip of document.querySelectorAll(".chips button")) {
  chip.addEventListener("click", () => {
    const on = chip.getAttribute("aria-pressed") !== "true";
    chip.setAttribute("aria-pressed", String(on));
    const names = off[chip.parentElement.dataset.head];
    if (names) names[on ? "delete" : "add"](chip.textContent);
    else document.body.classList.toggle(`without-${chip.dataset.part}`, !on);
    filterRows();
  });
}

for (const button of document.querySelectorAll(".downloads button")) {
  button.addEventListener("click", () => {
    const { table } = button.parentElement.dataset;
    const { kind } = button.dataset;
    const address = URL.createObjectURL(new Blob([DATA.files[table][kind]], { type: "text/plain" }));
    html("a", { href: address, download: `${table}.${kind === "csv" ? "csv" : "tex"}` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });
}

function filterRows() {
  const words = document.getElementById("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const completeOnly = document.getElementById("complete-only").checked;
  const rows = document.querySelectorAll("table.data tbody tr");
  let shown = 0;
  for (const row of rows) {
    const labels = [...row.cells].filter((cell) => !cell.classList.contains("number"));
    const text = labels.map((cell) => cell.textContent.toLowerCase()).join(" ");
    const incomplete = row.querySelector(".incomplete") !== null;
    row.hidden = !words.every((word) => text.includes(word)) || (completeOnly && incomplete) || unchosen(row);
    shown += !row.hidden;
  }
  document.querySelectorAll("table.data").forEach(markGroups);
  document.getElementById("shown").textContent = shown < rows.length ? `${shown} of ${rows.length} rows` : "";
  fitWidths();
}

for (const table of document.querySelectorAll("table.data")) {
  markGroups(table);
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.firstElementChild.addEventListener("click", () => sortBy(table, column));
  });
}
document.getElementById("filter").addEventListener("input", filterRows);
document.getElementById("complete-only").addEventListener("change", filterRows);
window.addEventListener("resize", fitWidths);
document.addEventListener("toggle", fitWidths, true);
fitWidths();

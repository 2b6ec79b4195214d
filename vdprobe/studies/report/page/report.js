"use strict";
// Tables that sort by a click on a column and show the rows that hold all words of the filter; intervals as lines.
const SVG = "http://www.w3.org/2000/svg";

// What a cell is sorted by: the number that it begins with, nothing of an empty one, and null where it is no number.
function numberOf(cell) {
  const text = cell.textContent.split(" [")[0].trim();
  if (text === "" || text === "-") return -Infinity;
  const number = Number(text.replace("inf", "Infinity"));
  return Number.isNaN(number) ? null : number;
}

function drawSpan(cell) {
  const [low, middle, high] = cell.dataset.span.split(" ").map(share => (100 * share).toFixed(1));
  const svg = document.createElementNS(SVG, "svg"), path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", `M${low} 4H${high}M${middle} 1V7`);
  svg.append(path);
  cell.append(svg);
}

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    head.querySelector("button").onclick = () => {
      const up = head.getAttribute("aria-sort") !== "ascending", rows = [...body.rows];
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const numbers = new Map(rows.map(row => [row, numberOf(row.cells[place])]));
      const plain = [...numbers.values()].every(number => number !== null);
      const words = (a, b) => a.cells[place].textContent.localeCompare(b.cells[place].textContent, "en", { numeric: true });
      const order = plain ? (a, b) => (numbers.get(a) > numbers.get(b)) - (numbers.get(a) < numbers.get(b)) : words;
      body.append(...rows.sort((a, b) => (up ? 1 : -1) * order(a, b)));
    };
  });
  const filter = table.closest("details")?.querySelector("input");
  if (filter) filter.oninput = () => {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of body.rows) row.hidden = !words.every(word => row.textContent.toLowerCase().includes(word));
  };
}
document.querySelectorAll("[data-span]").forEach(drawSpan);

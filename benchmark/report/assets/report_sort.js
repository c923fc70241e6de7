"use strict";
// Tables that sort by a click on a heading.
const Sorting = (() => {
  function valueOf(cell) {
    if (!cell) return null;
    if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
    const text = cell.textContent.trim(), number = Number.parseFloat(text);
    if (text === "") return null;
    return Number.isNaN(number) || !/^[+-]?[\d.]+( ?%)?$/.test(text) ? text.toLowerCase() : number;
  }

  // Numbers before words, empty cells last in either direction.
  function compare(a, b, sign) {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return sign * (a < b ? -1 : a > b ? 1 : 0);
  }

  function sort(table, index, heading) {
    const isUp = heading.getAttribute("aria-sort") !== "ascending";
    table.querySelectorAll("thead th").forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    for (const body of table.tBodies) {
      const rows = [...body.rows].filter((row) => !row.classList.contains("block"));
      const keyed = rows.map((row) => [valueOf(row.cells[index]), row]);
      keyed.sort((a, b) => compare(a[0], b[0], isUp ? 1 : -1));
      body.append(...keyed.map((pair) => pair[1]));
    }
  }

  function enable(table) {
    table.classList.add("sortable");
    const headings = table.tHead.rows[table.tHead.rows.length - 1].cells;
    [...headings].forEach((heading, index) => {
      const button = element("button", { type: "button", class: "sort", title: "Sort by this column" }, ...heading.childNodes);
      heading.replaceChildren(button);
      heading.addEventListener("click", () => sort(table, index, heading));
    });
  }
  return { enable };
})();

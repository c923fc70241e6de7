"use strict";
// Tables that sort by a click on a heading, and the table of all runs with its filter.
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

const RunTable = (() => {
  const COLUMNS = [
    ["Row", (run) => run.label], ["Sparsity", (run) => plainPercent(run.target) + " %"],
    ["Seed", seedOf], ["State", (run) => run.state],
    ["Last", (run) => percent(run.accuracy_last, 2)], ["Selected", (run) => percent(run.accuracy_selected, 2)],
    ["Best test", (run) => percent(run.accuracy_best_test, 2)], ["Reached", (run) => percent(run.sparsity, 2)],
    ["MACs pruned", (run) => percent(run.macs_pruned, 1)], ["Epochs", (run) => run.epochs],
    ["Seconds", (run) => (run.seconds === undefined ? "" : run.seconds.toFixed(1))], ["Run", (run) => run.id],
  ];
  const table = document.getElementById("run-table"), filter = document.getElementById("filter");
  const rows = new Map();

  function build() {
    const head = element("tr", {}, ...COLUMNS.map(([name]) => element("th", { scope: "col" }, name)));
    const body = element("tbody");
    for (const run of DATA.runs) {
      const texts = COLUMNS.map(([, text]) => { const made = text(run); return made === undefined ? "" : String(made); });
      const opener = element("button", { type: "button", class: "open-run" }, texts[0]);
      const cells = texts.slice(1).map((text) => element("td", {}, text));
      const row = element("tr", {}, element("th", { scope: "row" }, opener), ...cells);
      row.cells[3].className = "state " + run.state.replace(" ", "-");
      row.addEventListener("click", () => RunView.open(run));
      rows.set(run, { row, text: [...texts, run.reason || ""].join(" ").toLowerCase() });
      body.append(row);
    }
    table.append(element("thead", {}, head), body);
    Sorting.enable(table);
  }

  function apply() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const { row, text } of rows.values()) {
      row.hidden = !words.every((word) => text.includes(word));
      count += row.hidden ? 0 : 1;
    }
    document.getElementById("shown").textContent = `${count} of ${rows.size}`;
  }

  function mark(run) {
    for (const { row } of rows.values()) row.classList.remove("chosen");
    if (rows.has(run)) rows.get(run).row.classList.add("chosen");
  }

  filter.addEventListener("input", apply);
  document.getElementById("filter-controls").addEventListener("submit", (event) => event.preventDefault());
  build();
  apply();
  document.querySelectorAll("figure.table table, #failures table, #claims table").forEach(Sorting.enable);
  return { mark };
})();

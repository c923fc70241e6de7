"use strict";
// The table of all runs with its filter, and tables that sort.
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

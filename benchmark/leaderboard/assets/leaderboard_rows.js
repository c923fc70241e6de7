"use strict";
// Rows that open: facts of a method, its runs, the study file that repeats them, and the commands.
const Rows = (() => {
  const all = [];

  function number(value, digits) {
    return value === null || value === undefined ? "" : percent(value, digits);
  }

  function factsOf(row) {
    const table = element("table", { class: "facts" }, element("caption", { class: "unseen" }, `Facts of ${row.label}`));
    for (const [name, text] of row.facts) {
      table.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, text)));
    }
    return table;
  }

  const COLUMNS = [
    ["Sparsity", (run) => (run.target ? plainPercent(run.target) + " %" : "own")], ["Seed", seedOf],
    ["Last epoch", (run) => (run.state === "failed" ? "failed" : number(run.last, 2))],
    ["Chosen on validation", (run) => number(run.selected, 2)], ["Best test epoch", (run) => number(run.best_test, 2)],
    ["Reached", (run) => number(run.reached, 3)], ["MACs pruned", (run) => number(run.macs, 1)],
    ["Seconds", (run) => (run.seconds === undefined ? "" : run.seconds.toFixed(1))],
  ];

  function runsOf(row) {
    const head = element("tr", {}, element("th", { scope: "col" }, "Run"), ...COLUMNS.map(([name]) => element("th", { scope: "col" }, name)));
    const body = element("tbody");
    for (const run of row.runs) {
      const link = element("a", { href: run.file }, run.id);
      const cells = COLUMNS.map(([, text]) => element("td", {}, String(text(run))));
      if (run.reason) cells[2].append(`: ${run.reason}`);
      body.append(element("tr", {}, element("th", { scope: "row" }, link), ...cells));
    }
    const table = element("table", {}, element("caption", { class: "unseen" }, `Runs of ${row.label}`), element("thead", {}, head), body);
    Sorting.enable(table);
    return element("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Runs of ${row.label}` }, table);
  }

  function save(file) {
    const url = URL.createObjectURL(new Blob([file.text], { type: "application/yaml" }));
    element("a", { href: url, download: file.name }).click();
    URL.revokeObjectURL(url);
  }

  function repeated(row) {
    return row.files.flatMap((file) => {
      const button = element("button", { type: "button" }, `Save ${file.name}`);
      button.addEventListener("click", () => save(file));
      return [
        element("h4", {}, "The study file that repeats it"), button, element("pre", { class: "study-file", tabindex: "0" }, file.text),
        element("h4", {}, "The commands"), element("pre", { class: "commands", tabindex: "0" }, file.commands),
      ];
    });
  }

  function close(board) {
    board.querySelector(".opened").replaceChildren();
    board.querySelectorAll("tr.chosen").forEach((line) => line.classList.remove("chosen"));
    board.querySelectorAll(".open-row").forEach((button) => button.setAttribute("aria-expanded", "false"));
  }

  function open(entry) {
    const wasOpen = entry.button.getAttribute("aria-expanded") === "true";
    close(entry.board);
    if (wasOpen) return;
    entry.line.classList.add("chosen");
    entry.button.setAttribute("aria-expanded", "true");
    const closing = element("button", { type: "button" }, "Close");
    closing.addEventListener("click", () => { close(entry.board); entry.button.focus(); });
    const parts = [element("h3", { tabindex: "-1" }, entry.row.label), closing, factsOf(entry.row), element("h4", {}, "Runs"), runsOf(entry.row)];
    const holder = entry.board.querySelector(".opened");
    holder.replaceChildren(element("div", {}, ...parts, ...repeated(entry.row)));
    holder.querySelector("h3").focus();
  }

  function prepare(table, index) {
    const board = document.getElementById(`board-${index}`);
    const lines = board.querySelectorAll("figure.table tbody tr");
    table.rows.forEach((row, place) => {
      const line = lines[place], heading = line.cells[0];
      const button = element("button", { type: "button", class: "open-row", "aria-expanded": "false" }, ...heading.childNodes);
      heading.replaceChildren(button);
      const entry = { row, line, board, button, table };
      button.addEventListener("click", () => open(entry));
      all.push(entry);
    });
    const rules = board.querySelector("figcaption");
    rules.replaceWith(element("details", { class: "rules" }, element("summary", {}, "Recipe, rules and what is counted"), element("div", { class: "small" }, ...rules.childNodes)));
    Sorting.enable(board.querySelector("figure.table table"));
  }

  DATA.tables.forEach(prepare);
  return { all, close };
})();

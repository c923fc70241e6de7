"use strict";
// Filters: a row is shown if it has all that is asked; a table without rows is hidden with its dense rows.
const Filter = (() => {
  const control = (name) => document.getElementById(name);

  function fill(name, pairs) {
    for (const [value, text] of pairs) control(name).append(element("option", { value }, text));
  }

  function isWanted(entry) {
    const { row, table } = entry, words = control("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${row.label} ${row.facts.map((fact) => fact[1]).join(" ")}`.toLowerCase();
    const from = control("from-year").value, to = control("to-year").value;
    return words.every((word) => text.includes(word)) &&
      (!control("track").value || control("track").value === table.track) &&
      (!control("family").value || control("family").value === row.family) &&
      (!from || (row.year !== null && row.year >= Number(from))) && (!to || (row.year !== null && row.year <= Number(to))) &&
      (!control("place").value || control("place").value === table.place);
  }

  function apply() {
    const shownIn = new Map();
    let count = 0, total = 0;
    for (const entry of Rows.all) {
      if (entry.row.is_dense) continue;
      const wanted = isWanted(entry);
      entry.line.hidden = !wanted;
      total += 1;
      count += wanted ? 1 : 0;
      shownIn.set(entry.board, (shownIn.get(entry.board) || 0) + (wanted ? 1 : 0));
    }
    for (const [board, number] of shownIn) {
      board.hidden = number === 0;
      const chosen = board.querySelector("tr.chosen");
      if (chosen && chosen.hidden) Rows.close(board);
    }
    document.querySelectorAll("section.place").forEach((place) => {
      place.hidden = [...place.querySelectorAll(".board")].every((board) => board.hidden);
    });
    control("nothing").hidden = count > 0;
    control("shown").textContent = `${count} of ${total} rows`;
  }

  const form = control("filter-controls");
  fill("track", DATA.tracks);
  fill("family", DATA.families.map((name) => [name, name]));
  fill("from-year", DATA.years.map((year) => [year, year]));
  fill("to-year", DATA.years.map((year) => [year, year]));
  fill("place", DATA.places.map((name) => [name, name]));
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(apply));
  document.getElementById("filters").hidden = false;
  apply();
  return { apply };
})();

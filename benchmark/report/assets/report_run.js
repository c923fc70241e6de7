"use strict";
// One run: what it is, what is left of each layer, how it trained, and how to compute it again.
const RunView = (() => {
  const holder = document.getElementById("run-view");

  function facts(run) {
    const rows = [
      ["Row", run.label], ["Run", run.id], ["State", run.state + (run.reason ? `: ${run.reason}` : "")],
      ["Seed", seedOf(run)], ["Sparsity asked for", plainPercent(run.target) + " %"],
      ["Sparsity reached", run.sparsity === undefined ? undefined : percent(run.sparsity, 3) + " %"],
      ["Accuracy before / straight after pruning", run.accuracy_before === undefined ? undefined :
        `${percent(run.accuracy_before, 2)} / ${percent(run.accuracy_pruned, 2)} %`],
      ["Accuracy last / selected / best test", run.accuracy_last === undefined ? undefined :
        [run.accuracy_last, run.accuracy_selected, run.accuracy_best_test].map((v) => percent(v, 2) || "–").join(" / ") + " %"],
      ["Multiply-adds pruned", run.macs_pruned === undefined ? undefined : percent(run.macs_pruned, 2) + " %"],
      ["Empty layers", run.empty_layers], ["Dense training it starts from", run.parent],
      ["Device", run.device], ["Host", run.host], ["Revision", run.revision],
      ["Changed since it was computed", run.outdated], ["Data", run.data], ["Folder", run.folder], ["Log", run.log],
      ["Compute it again", run.only && `${DATA.command} ${run.only}`],
    ];
    const table = element("table", { class: "facts" }, element("caption", { class: "unseen" }, `Facts of run ${run.id || ""}`));
    for (const [name, value] of rows) {
      if (value !== undefined) table.append(element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, String(value))));
    }
    return table;
  }

  // Density on a logarithmic scale, a bar a layer; an emptied layer says so.
  function layers(run, width) {
    const network = DATA.networks[run.network], count = network.name.length, height = 26 + 18 * count;
    const densities = run.kept.map((kept, index) => kept / network.total[index]);
    const summary = `Weights left in each of ${count} layers, ${percent(Math.min(...densities), 2)} to ${percent(Math.max(...densities), 2)} %`;
    const color = (DATA.labels.find((label) => label.name === run.label) || {}).color || "var(--ink)";
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", class: "mark", "aria-label": summary, style: `--own: ${color}` });
    const floor = Math.min(0.1, ...densities.filter((density) => density > 0)) / 1.5;
    const left = Math.min(190, 0.4 * width), span = Math.min(250, width - left - 62), letters = Math.floor(left / 7);
    densities.forEach((density, index) => {
      const y = 8 + 18 * index, length = density > 0 ? (span * Math.log(density / floor)) / Math.log(1 / floor) : 0;
      const name = network.name[index].replace(/\.weight$/, "");
      svg.append(shape("text", { x: left - 6, y: y + 11, "text-anchor": "end" }, name.length > letters ? "…" + name.slice(1 - letters) : name),
        shape("rect", { x: left, y, width: Math.max(0, length).toFixed(1), height: 13 },
          shape("title", {}, `${name}: ${run.kept[index]} of ${network.total[index]} weights`)),
        shape("text", { x: left + length + 5, y: y + 11 },
          density > 0 ? `${Number((100 * density).toPrecision(3))} %` : "empty"));
    });
    svg.append(shape("text", { x: left, y: height - 4 }, "weights left, logarithmic"));
    return svg;
  }

  function training(run, width) {
    const height = 260, left = 44, right = 10, bottom = 34, epochs = run.history;
    const last = epochs[epochs.length - 1][0], values = epochs.flatMap((e) => [e[1], e[2]]).filter((v) => v !== null);
    const summary = `Accuracy by epoch, 1 to ${last}; test accuracy of the last ${percent(epochs[epochs.length - 1][2], 2)} %`;
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary });
    const key = element("p", { class: "key" });
    const low = Math.min(...values), high = Math.max(...values), margin = Math.max(0.005, (high - low) * 0.05);
    const x = (epoch) => left + ((width - left - right) * (epoch - 1)) / Math.max(1, last - 1);
    const y = (value) => 8 + ((height - bottom - 8) * (high + margin - value)) / (high - low + 2 * margin);
    for (const value of ticks(100 * (low - margin), 100 * (high + margin))) {
      svg.append(shape("line", { class: "grid", x1: left, x2: width - right, y1: y(value / 100), y2: y(value / 100) }),
        shape("text", { x: left - 6, y: y(value / 100) + 4, "text-anchor": "end" }, String(value)));
    }
    [["— validation", 1, ""], ["- - test", 2, "5 3"]].forEach(([name, column, dash]) => {
      const line = epochs.filter((epoch) => epoch[column] !== null);
      if (!line.length) return;
      const style = `--own: ${DATA.palette[column - 1]}`;
      svg.append(shape("g", { class: "mark", style }, shape("polyline", {
        points: line.map((e) => `${x(e[0]).toFixed(1)},${y(e[column]).toFixed(1)}`).join(" "), "stroke-width": 2, "stroke-dasharray": dash })));
      key.append(element("span", { class: "mark", style }, name));
    });
    svg.append(shape("text", { x: left, y: height - 6 }, `accuracy (%) by epoch, 1 to ${last}`));
    return element("div", {}, key, svg);
  }

  let shown = null;

  function fill(drawn, run) {
    const width = Math.max(240, drawn.clientWidth);
    drawn.replaceChildren();
    if (run.kept) drawn.append(element("h3", {}, "Layers"), layers(run, width));
    if (run.history && run.history.length) drawn.append(element("h3", {}, "Training"), training(run, width));
  }

  function open(run) {
    const drawn = element("div", { class: "drawn" });
    const views = element("div", { class: "views" }, element("div", {}, facts(run)), drawn);
    const parts = [element("h3", {}, `Run ${run.id || ""} ${run.label}`), views];
    if (run.spec) {
      parts.push(element("details", {}, element("summary", {}, "Everything that determines it"),
        element("pre", {}, JSON.stringify(run.spec, null, 1))));
    }
    holder.replaceChildren(...parts);
    shown = run;
    fill(drawn, run);
    RunTable.mark(run);
    holder.scrollIntoView({ block: "nearest" });
  }

  onNewWidth(holder, () => { if (shown) fill(holder.querySelector(".drawn"), shown); });
  return { open };
})();

Chart.draw();

"use strict";
// Accuracy against sparsity or multiply-adds, as SVG: lines of means, their spread, and a point for each run.
// A unit of the drawing is a pixel of the page, so that text has its size on a phone too.
const Chart = (() => {
  const LEFT = 48, RIGHT = 14, TOP = 14, BOTTOM = 46;
  const holder = document.getElementById("chart");
  if (!holder) return { draw() {} };
  const tip = element("div", { id: "tip", hidden: "" });
  const hidden = new Set(DATA.labels.filter((label) => !label.shown).map((label) => label.name));
  const select = (id) => document.getElementById(id);
  let points = [], width = 0, height = 0;

  for (const [name, text] of Object.entries(DATA.accuracies)) {
    select("accuracy").append(element("option", { value: name, title: text }, name.replace("_", " ")));
  }

  select("accuracy").value = DATA.accuracy;

  function accuracyOf(run) {
    return run["accuracy_" + select("accuracy").value];
  }

  // What is left, as a fraction: density, or multiply-adds; the axis is its logarithm.
  function leftOf(run) {
    if (select("against").value === "macs") return 1 - run.macs_pruned;
    // a method that sets its own sparsity stands at what it reached
    return 1 - (run.target > 0 ? run.target : run.sparsity);
  }

  function pruned() {
    return DATA.runs.filter(
      (run) => run.state === "done" && run.method !== "dense" && typeof accuracyOf(run) === "number" && leftOf(run) > 0);
  }

  function scales(runs) {
    const aims = select("against").value === "macs" ? [] : DATA.targets.filter((t) => t > 0).map((t) => 1 - t);
    const lefts = runs.map(leftOf).concat(aims);
    const most = Math.max(...lefts, 0.001) * 1.05, least = Math.min(...lefts, 1) / 1.05;
    const dense = DATA.dense[select("accuracy").value];
    const values = runs.map((run) => 100 * accuracyOf(run)).concat(dense.map(([, mean]) => mean));
    const highest = Math.max(...values, 1), span = Number(select("range").value);
    const lowest = Math.max(Math.min(...values, highest - 0.5), highest - span);
    const margin = Math.max(0.2, (highest - lowest) * 0.05);
    const [low, high] = [lowest - margin, highest + margin];
    const inner = width - LEFT - RIGHT;
    return {
      x: (left) => LEFT + (inner * Math.log(most / left)) / Math.log(most / least || 2),
      y: (value) => TOP + ((height - TOP - BOTTOM) * (high - value)) / (high - low),
      low, high, most, least, dense,
    };
  }

  function axes(scale) {
    const group = shape("g"), bottom = height - BOTTOM, right = width - RIGHT;
    for (const value of ticks(scale.low, scale.high)) {
      const y = scale.y(value);
      if (y > bottom + 0.5 || y < TOP - 0.5) continue;
      group.append(shape("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }),
        shape("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, String(value)));
    }
    const isMacs = select("against").value === "macs";
    const places = isMacs ? [1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001] : DATA.targets.map((t) => 1 - t);
    // rounder numbers first: where 79.55 and 80 would touch, 80 is shown
    const named = places.filter((left) => left <= scale.most && left >= scale.least * 0.999)
      .map((left) => [scale.x(left), plainPercent(isMacs ? left : 1 - left)]).sort((a, b) => a[1].length - b[1].length);
    const taken = [];
    for (const [x, name] of named) {
      if (taken.some((other) => Math.abs(other - x) < 34)) continue;
      taken.push(x);
      group.append(shape("line", { class: "axis", x1: x, x2: x, y1: bottom, y2: bottom + 5 }),
        shape("text", { x, y: bottom + 19, "text-anchor": "middle" }, name));
    }
    group.append(shape("line", { class: "axis", x1: LEFT, x2: right, y1: bottom, y2: bottom }),
      shape("line", { class: "axis", x1: LEFT, x2: LEFT, y1: TOP, y2: bottom }),
      shape("text", { x: (LEFT + right) / 2, y: height - 8, "text-anchor": "middle" },
        isMacs ? "multiply-adds left (% of dense), logarithmic" : "sparsity (%), density on a logarithmic scale"),
      shape("text", { transform: `translate(12 ${(TOP + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "test accuracy (%)"));
    return group;
  }

  // Means over seeds at the places of their runs; the spread only against sparsity, where these share a place.
  function meansOf(label, runs) {
    const byTarget = new Map();
    for (const run of runs.filter((run) => run.label === label)) {
      byTarget.set(run.target, [...(byTarget.get(run.target) || []), run]);
    }
    const average = (list, of) => list.reduce((sum, item) => sum + of(item), 0) / list.length;
    if (select("against").value === "sparsity") {
      return (DATA.curves[select("accuracy").value][label] || []).filter(([target]) => byTarget.has(target))
        .map(([target, mean, std, ci]) => (
          { left: average(byTarget.get(target), leftOf), mean, half: { std, ci, none: null }[select("spread").value] }));
    }
    return [...byTarget.entries()].sort((a, b) => a[0] - b[0]).map(([, list]) => (
      { left: average(list, leftOf), mean: 100 * average(list, accuracyOf), half: null }));
  }

  // A band joins two sparsities or more; many bands would hide each other, so that many rows have bars.
  function spreadOf(means, scale, hasBand) {
    const at = (left, value) => `${scale.x(left).toFixed(1)},${scale.y(value).toFixed(1)}`;
    const known = means.filter((p) => p.half !== null);
    if (!hasBand || known.length === 1) {
      return known.map((p) => shape("line", { class: "bar", x1: scale.x(p.left), x2: scale.x(p.left),
        y1: scale.y(p.mean + p.half), y2: scale.y(p.mean - p.half), "stroke-width": 1.4, "stroke-opacity": 0.7 }));
    }
    if (!known.length) return [];
    const outline = [...known.map((p) => at(p.left, p.mean + p.half)), ...[...known].reverse().map((p) => at(p.left, p.mean - p.half))];
    return [shape("polygon", { points: outline.join(" ") })];
  }

  // `scale` is moved sideways by some pixels for each row, so that equal rows are seen.
  function curve(label, runs, scale, hasBand) {
    const group = shape("g", { class: "mark", "data-label": label.name, style: `--own: ${label.color}` });
    const means = meansOf(label.name, runs);
    if (!means.length) return group;
    group.append(...spreadOf(means, scale, hasBand));
    group.append(shape("polyline", { points: means.map((p) => `${scale.x(p.left).toFixed(1)},${scale.y(p.mean).toFixed(1)}`).join(" "),
      "stroke-width": 2, "stroke-dasharray": label.dash }));
    for (const run of runs.filter((run) => run.label === label.name)) {
      const x = scale.x(leftOf(run)), y = scale.y(100 * accuracyOf(run));
      points.push({ x, y, run });
      group.append(shape("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 3 }));
    }
    return group;
  }

  function nameButton(label) {
    const swatch = shape("svg", { class: "mark", width: 28, height: 10, "aria-hidden": "true", style: `--own: ${label.color}` },
      shape("line", { x1: 0, x2: 28, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": label.dash }));
    const button = element("button", { type: "button", class: "legend", "aria-pressed": String(!hidden.has(label.name)) }, swatch, label.name);
    button.addEventListener("click", () => {
      if (!hidden.delete(label.name)) hidden.add(label.name);
      update();
    });
    return element("li", {}, button);
  }

  const names = element("ul", { class: "names", "aria-label": "Rows of the chart" }, ...DATA.labels.map(nameButton));
  const all = element("p", { class: "controls" });
  for (const [text, isShown] of [["Show all", true], ["Hide all", false]]) {
    const button = element("button", { type: "button" }, text);
    button.addEventListener("click", () => {
      for (const label of DATA.labels) isShown ? hidden.delete(label.name) : hidden.add(label.name);
      update();
    });
    all.append(button);
  }

  function update() {
    DATA.labels.forEach((label, index) => names.children[index].firstChild.setAttribute("aria-pressed", String(!hidden.has(label.name))));
    draw();
  }

  function draw() {
    width = Math.max(280, holder.clientWidth || 1100);
    height = width < 600 ? 340 : 430;
    const shown = DATA.labels.filter((label) => !hidden.has(label.name));
    const runs = pruned().filter((run) => !hidden.has(run.label)), scale = scales(runs);
    points = [];
    const against = select("against").value === "macs" ? "multiply-adds left" : "sparsity";
    const summary = `Test accuracy against ${against}, ${runs.length} runs of ${shown.length} rows; the tables below have the numbers.`;
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": summary });
    const clip = shape("clipPath", { id: "inside" }, shape("rect", { x: LEFT - 6, y: TOP - 4, width: width - LEFT - RIGHT + 12, height: height - TOP - BOTTOM + 6 }));
    const inside = shape("g", { "clip-path": "url(#inside)" });
    for (const [name, mean] of scale.dense) {
      const y = scale.y(mean);
      inside.append(shape("line", { class: "dense", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
        shape("text", { x: width - RIGHT, y: y - 5, "text-anchor": "end" }, name));
    }
    const step = Math.min(3, 12 / shown.length);
    inside.append(...shown.map((label, index) => {
      const aside = (index - (shown.length - 1) / 2) * step;
      return curve(label, runs, { ...scale, x: (left) => scale.x(left) + aside }, shown.length <= DATA.max_bands);
    }));
    svg.append(clip, axes(scale), inside);
    svg.addEventListener("mousemove", (event) => show(event, svg));
    svg.addEventListener("mouseleave", () => { tip.hidden = true; });
    svg.addEventListener("click", (event) => { const found = nearest(event, svg); if (found) RunView.open(found.run); });
    if (holder.firstChild) holder.replaceChild(svg, holder.firstChild);
    else holder.append(svg, tip, ...(DATA.labels.length > 1 ? [all] : []), names);
  }

  // The run next to the pointer, within twelve pixels.
  function nearest(event, svg) {
    const box = svg.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    let best = null, least = 12;
    for (const point of points) {
      const distance = Math.hypot(point.x - x, point.y - y);
      if (distance < least) { best = point; least = distance; }
    }
    return best;
  }

  function show(event, svg) {
    const found = nearest(event, svg);
    tip.hidden = !found;
    svg.style.cursor = found ? "pointer" : "";
    if (!found) return;
    const run = found.run;
    tip.textContent = `${run.label}, seed ${seedOf(run)}\nsparsity ${percent(run.sparsity, 2)} %\n` +
      `multiply-adds left ${percent(1 - run.macs_pruned, 1)} %\naccuracy ${percent(accuracyOf(run), 2)} %\nrun ${run.id}`;
    // to the side with more room, so that it never widens the page
    const isRight = found.x > width / 2;
    tip.style.left = `${isRight ? Math.max(0, found.x - tip.offsetWidth - 12) : found.x + 12}px`;
    tip.style.top = `${found.y + 12}px`;
  }

  for (const id of ["accuracy", "against", "range", "spread"]) select(id).addEventListener("change", draw);
  document.getElementById("chart-controls").addEventListener("submit", (event) => event.preventDefault());
  onNewWidth(holder, draw);
  return { draw };
})();

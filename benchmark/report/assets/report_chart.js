"use strict";
// Accuracy against sparsity or multiply-adds, as SVG: lines of means, bands, and a point for each run.
const Chart = (() => {
  const WIDTH = 1100, HEIGHT = 430, LEFT = 58, RIGHT = 250, TOP = 14, BOTTOM = 46;
  const holder = document.getElementById("chart");
  const tip = element("div", { id: "tip", hidden: "" });
  const hidden = new Set();
  const select = (id) => document.getElementById(id);
  let points = [];

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
    const values = runs.map((run) => 100 * accuracyOf(run)).concat(dense === null ? [] : [dense]);
    const highest = Math.max(...values, 1), span = Number(select("range").value);
    const lowest = Math.max(Math.min(...values, highest - 0.5), highest - span);
    const margin = Math.max(0.2, (highest - lowest) * 0.05);
    const [low, high] = [lowest - margin, highest + margin];
    const inner = WIDTH - LEFT - RIGHT;
    return {
      x: (left) => LEFT + (inner * Math.log(most / left)) / Math.log(most / least || 2),
      y: (value) => TOP + ((HEIGHT - TOP - BOTTOM) * (high - value)) / (high - low),
      low, high, most, least, dense,
    };
  }

  function axes(scale) {
    const group = shape("g"), bottom = HEIGHT - BOTTOM, right = WIDTH - RIGHT;
    for (const value of ticks(scale.low, scale.high)) {
      const y = scale.y(value);
      if (y > bottom + 0.5 || y < TOP - 0.5) continue;
      group.append(shape("line", { class: "grid", x1: LEFT, x2: right, y1: y, y2: y }),
        shape("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, String(value)));
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
      shape("text", { x: (LEFT + right) / 2, y: HEIGHT - 8, "text-anchor": "middle" },
        isMacs ? "multiply-adds left (% of dense), logarithmic" : "sparsity (%), density on a logarithmic scale"),
      shape("text", { transform: `translate(14 ${(TOP + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, "test accuracy (%)"));
    return group;
  }

  // Means over seeds at the places of the axis; the spread only against sparsity, where the runs share a place.
  function meansOf(label, runs) {
    if (select("against").value === "sparsity") {
      return (DATA.curves[select("accuracy").value][label] || []).filter((p) => p[0] > 0)
        .map(([target, mean, half]) => ({ left: 1 - target, mean, half }));
    }
    const byTarget = new Map();
    for (const run of runs.filter((run) => run.label === label)) {
      byTarget.set(run.target, [...(byTarget.get(run.target) || []), run]);
    }
    const average = (list, of) => list.reduce((sum, item) => sum + of(item), 0) / list.length;
    return [...byTarget.entries()].sort((a, b) => a[0] - b[0]).map(([, list]) => (
      { left: average(list, leftOf), mean: 100 * average(list, accuracyOf), half: null }));
  }

  function curve(label, runs, scale) {
    const group = shape("g", { "data-label": label.name });
    const means = meansOf(label.name, runs);
    if (!means.length) return group;
    const at = (left, value) => `${scale.x(left).toFixed(1)},${scale.y(value).toFixed(1)}`;
    const known = means.filter((p) => p.half !== null);
    if (known.length > 1) {
      const outline = [...known.map((p) => at(p.left, p.mean + p.half)), ...known.reverse().map((p) => at(p.left, p.mean - p.half))];
      group.append(shape("polygon", { points: outline.join(" "), fill: label.color, "fill-opacity": 0.12 }));
    }
    group.append(shape("polyline", { points: means.map((p) => at(p.left, p.mean)).join(" "), fill: "none",
      stroke: label.color, "stroke-width": 2, "stroke-dasharray": label.dash }));
    for (const run of runs.filter((run) => run.label === label.name)) {
      const x = scale.x(leftOf(run)), y = scale.y(100 * accuracyOf(run));
      points.push({ x, y, run });
      group.append(shape("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 3, fill: label.color, "fill-opacity": 0.7 }));
    }
    return group;
  }

  function legend() {
    const group = shape("g"), x = WIDTH - RIGHT + 22;
    const gap = Math.min(20, (HEIGHT - 30) / Math.max(1, DATA.labels.length));
    DATA.labels.forEach((label, index) => {
      const y = TOP + 10 + index * gap;
      const short = label.name.length > 30 ? label.name.slice(0, 14) + "…" + label.name.slice(-14) : label.name;
      const entry = shape("g", { class: hidden.has(label.name) ? "legend off" : "legend", tabindex: 0, role: "button" },
        shape("title", {}, label.name),
        shape("line", { x1: x, x2: x + 26, y1: y, y2: y, stroke: label.color, "stroke-width": 3, "stroke-dasharray": label.dash }),
        shape("text", { x: x + 33, y: y + 4, style: gap < 12 ? "font-size:9px" : "" }, short));
      const toggle = () => { hidden.has(label.name) ? hidden.delete(label.name) : hidden.add(label.name); draw(); };
      entry.addEventListener("click", toggle);
      entry.addEventListener("keydown", (event) => { if (event.key === "Enter") toggle(); });
      group.append(entry);
    });
    return group;
  }

  function draw() {
    const runs = pruned().filter((run) => !hidden.has(run.label)), scale = scales(runs);
    points = [];
    const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "accuracy of all runs" });
    const clip = shape("clipPath", { id: "inside" }, shape("rect", { x: LEFT - 6, y: TOP - 4, width: WIDTH - LEFT - RIGHT + 12, height: HEIGHT - TOP - BOTTOM + 6 }));
    const inside = shape("g", { "clip-path": "url(#inside)" });
    if (scale.dense !== null) {
      const y = scale.y(scale.dense);
      inside.append(shape("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, stroke: "#000", "stroke-dasharray": "5 4" }),
        shape("text", { x: LEFT + 6, y: y - 5 }, "dense"));
    }
    for (const label of DATA.labels) if (!hidden.has(label.name)) inside.append(curve(label, runs, scale));
    svg.append(clip, axes(scale), inside, legend());
    svg.addEventListener("mousemove", (event) => show(event, svg));
    svg.addEventListener("mouseleave", () => { tip.hidden = true; });
    svg.addEventListener("click", (event) => { const found = nearest(event, svg); if (found) RunView.open(found.run); });
    holder.replaceChildren(svg, tip);
  }

  // The run next to the pointer, within twelve units of the drawing.
  function nearest(event, svg) {
    const box = svg.getBoundingClientRect(), zoom = WIDTH / box.width;
    const x = (event.clientX - box.left) * zoom, y = (event.clientY - box.top) * zoom;
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
    const run = found.run, zoom = svg.getBoundingClientRect().width / WIDTH;
    tip.textContent = `${run.label}, seed ${run.seed}\nsparsity ${percent(run.sparsity, 2)} %\n` +
      `multiply-adds left ${percent(1 - run.macs_pruned, 1)} %\naccuracy ${percent(accuracyOf(run), 2)} %\nrun ${run.id}`;
    // to the side with more room, so that it never widens the page
    const x = found.x * zoom, isRight = x > svg.clientWidth / 2;
    tip.style.left = `${isRight ? Math.max(0, x - tip.offsetWidth - 12) : x + 12}px`;
    tip.style.top = `${found.y * zoom + 12}px`;
  }

  for (const id of ["accuracy", "against", "range"]) select(id).addEventListener("change", draw);
  document.getElementById("chart-controls").addEventListener("submit", (event) => event.preventDefault());
  return { draw };
})();

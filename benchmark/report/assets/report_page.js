"use strict";
// Shared by the other scripts of the page: the data, and ways to make elements. Text is only ever set as text.
const DATA = JSON.parse(document.getElementById("data").textContent);

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function percent(value, digits) {
  return value === undefined || value === null ? "" : (100 * value).toFixed(digits);
}

// 0.975 as "97.5": no trailing zeros, no float noise
function plainPercent(value) {
  return String(Number((100 * value).toFixed(6)));
}

// A seed's first retraining has no number of its own.
function seedOf(run) {
  return run.retrain_seed ? `${run.seed}, retraining ${run.retrain_seed}` : run.seed;
}

// Round numbers that cover a range in about five steps.
function ticks(low, high) {
  const rough = (high - low) / 5 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) found.push(value);
  return found.map((value) => Number(value.toFixed(10)));
}

// Draw again when the width of an element has changed, as by turning a phone.
function onNewWidth(holder, draw) {
  let width = holder.clientWidth;
  new ResizeObserver(() => {
    if (holder.clientWidth === width) return;
    width = holder.clientWidth;
    draw();
  }).observe(holder);
}

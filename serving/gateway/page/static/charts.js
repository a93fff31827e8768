// Charts of values over time, drawn by uPlot in the colours of look.css.

import { number } from "./wording.js";

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();

const colour = name => getComputedStyle(document.documentElement).getPropertyValue(`--c-${name}`).trim();
// An inner band lies on an outer one, and looks darker for it.
const shade = place => `${colour("candidate")}${dark.matches ? "4d" : place ? "40" : "30"}`;
const font = "12px system-ui, sans-serif";

// Draws into a box what `chart` says, in the place of what was there:
//   x: epoch seconds, ascending. lines: [{ label, colour, values, kind: "line" | "dashes" | "points", width }].
//   bands: [{ label, low, high }] with values. marks: [{ x, label }]. clock: local time. unit: label of the y axis. alt: text for
//   who cannot see it. Values are as long as x, null where there is none.
export function draw(box, chart) {
  forget(box);
  box.classList.remove("empty");
  box.replaceChildren();
  const kept = { chart, range: null, plot: null };
  drawn.set(box, kept);
  plot(box, kept);
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", `${chart.alt} Left and right arrow keys read single steps.`);
}

// Says in words why there is no chart.
export function leaveEmpty(box, text) {
  forget(box);
  box.classList.add("empty");
  box.removeAttribute("tabindex");
  box.removeAttribute("aria-label");
  box.replaceChildren(Object.assign(document.createElement("p"), { textContent: text }));
}

function forget(box) {
  drawn.get(box)?.plot.destroy();
  drawn.delete(box);
}

function plot(box, kept) {
  kept.plot?.destroy();
  const { chart } = kept;
  const bands = chart.bands.flatMap(band => [band.high, band.low]);
  kept.plot = new uPlot(options(box, kept), [chart.x, ...bands, ...chart.lines.map(line => line.values)], box);
  name(kept);
}

function extent({ x }) {
  const step = x.length > 1 ? x[1] - x[0] : 3600;
  return [x[0], x[x.length - 1] + step / 2];
}

function options(box, kept) {
  const { chart } = kept, n = 2 * chart.bands.length;
  const narrow = box.clientWidth < 560;
  const axis = { stroke: colour("muted"), font, ticks: { stroke: colour("rule"), width: 1, size: 4 } };
  const edges = chart.bands.flatMap((band, place) => [
    { label: band.label, stroke: "transparent", width: 0, points: { show: false }, value: (u, _, __, i) => between(u, 2 * place + 1, i) },
    { label: "", stroke: "transparent", width: 0, points: { show: false } },
  ]);
  return {
    width: Math.floor(box.clientWidth), height: narrow ? 280 : 340, padding: [18, 14, 0, 0],
    scales: {
      x: { time: true, range: () => kept.range || extent(chart) },
      y: { range: (_, low, high) => low == null ? [0, 1] : uPlot.rangeNum(low, high, 0.08, true) },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 30, space: 62, values: (_, splits, __, ___, step) => splits.map(at => tick(chart.clock, at, step)) },
      { ...axis, grid: { stroke: colour("grid"), width: 1 }, space: 36, label: narrow ? undefined : chart.unit, labelFont: font, labelSize: 20,
        values: (_, splits) => splits.map(at => at.toLocaleString("en-US", { maximumFractionDigits: 6 })),
        size: (_, texts) => 14 + 7 * Math.max(3, ...(texts || []).map(text => text.length)) },
    ],
    series: [{ label: "", value: (_, at) => at == null ? "" : `${chart.clock.whole(at)} ${chart.clock.zone(at)}` }, ...edges, ...chart.lines.map(seriesOf)],
    bands: chart.bands.map((_, place) => ({ series: [2 * place + 1, 2 * place + 2], fill: shade(place) })),
    tzDate: chart.clock.shifted,
    cursor: { y: false, drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
    legend: { live: true, markers: { width: 0, fill: (_, i) => i === 0 ? "transparent" : i <= n ? shade((i - 1) >> 1) : colour(chart.lines[i - n - 1].colour) } },
    hooks: { drawAxes: [u => marks(u, chart)], setSelect: [u => select(kept, u)], ready: [u => u.over.addEventListener("dblclick", () => show(kept, null))] },
  };
}

function tick(clock, at, step) {
  if (step >= 2419200) return clock.month(at);
  return step >= 86400 || clock.hour(at) === "00:00" ? clock.day(at) : clock.hour(at);
}

function seriesOf(line) {
  const stroke = colour(line.colour);
  const single = line.values.filter(value => value != null).length === 1;
  const points = { show: line.kind === "points" || single, size: line.kind === "points" ? 5 : 8, fill: stroke, stroke };
  return {
    label: line.label, stroke, width: line.width ?? 2, spanGaps: false, points, value: (_, value, __, i) => i == null ? "" : number(value),
    ...(line.kind === "dashes" ? { dash: [6, 4] } : {}),
  };
}

function between(u, place, i) {
  if (i == null) return "";
  const high = u.data[place][i], low = u.data[place + 1][i];
  return high == null ? "–" : `${number(low)} to ${number(high)}`;
}

// Both edges of a band are one entry of the legend, and x has only its value.
function name({ chart, plot: u }) {
  const rows = u.root.querySelectorAll(".u-legend .u-series");
  rows[0].querySelector(".u-label").textContent = "";
  chart.bands.forEach((_, place) => {
    rows[2 * place + 1].classList.add("wide");
    rows[2 * place + 2].hidden = true;
  });
}

function marks(u, chart) {
  const { ctx, bbox } = u, ratio = uPlot.pxRatio;
  chart.marks.forEach(mark => {
    if (mark.x < u.scales.x.min || mark.x > u.scales.x.max) return;
    const at = Math.round(u.valToPos(mark.x, "x", true));
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour("muted");
    ctx.lineWidth = ratio;
    ctx.setLineDash([5 * ratio, 4 * ratio]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.font = `${12 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "bottom";
    const right = at - bbox.left < bbox.width / 2;
    ctx.textAlign = right ? "left" : "right";
    ctx.fillText(mark.label, at + (right ? 5 : -5) * ratio, bbox.top - 2 * ratio);
    ctx.restore();
  });
}

function select(kept, u) {
  if (u.select.width < 8) return;
  show(kept, [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
  u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
}

// Looks at a part of x; none: at all of it.
function show(kept, range) {
  const [first, last] = extent(kept.chart);
  if (range && kept.chart.x.filter(at => at >= range[0] && at <= range[1]).length < 3) return;
  kept.range = range && [Math.max(first, range[0]), Math.min(last, range[1])];
  const [min, max] = kept.range || [first, last];
  kept.plot.setScale("x", { min, max });
}

// What the buttons beside a chart do.
export function look(box, what, from) {
  const kept = drawn.get(box);
  if (!kept) return;
  const [first, last] = extent(kept.chart), { min, max } = kept.plot.scales.x, half = (max - min) / 2, middle = (min + max) / 2;
  const move = by => { const at = Math.min(Math.max(min + by, first), last - 2 * half); show(kept, [at, at + 2 * half]); };
  switch (what) {
    case "all": return show(kept, null);
    case "forecast": return show(kept, [from, last]);
    case "in": return show(kept, [middle - half / 2, middle + half / 2]);
    case "out": return 4 * half >= last - first ? show(kept, null) : show(kept, [middle - 2 * half, middle + 2 * half]);
    case "back": return move(-half / 2);
    case "on": return move(half / 2);
  }
}

// The cursor by keys, for who has no mouse.
export function readByKeys(box) {
  box.addEventListener("keydown", event => {
    const kept = drawn.get(box), by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -24, PageDown: 24 }[event.key];
    if (!kept || !by) return;
    event.preventDefault();
    const { plot: u } = kept, { x } = kept.chart;
    const start = u.cursor.idx ?? x.findIndex(at => at >= (kept.chart.marks[0]?.x ?? x[0]));
    const place = Math.min(Math.max(start + by, 0), x.length - 1);
    u.setCursor({ left: u.valToPos(x[place], "x"), top: u.over.clientHeight / 2 });
  });
}

dark.addEventListener("change", () => drawn.forEach((kept, box) => plot(box, kept)));
new ResizeObserver(() => drawn.forEach((kept, box) => {
  const width = Math.floor(box.clientWidth);
  if (width && width !== kept.plot.width) plot(box, kept);
})).observe(document.documentElement);

// For who asks what a chart shows, by the id of its box: its plot and what it was drawn from.
export const shown = id => drawn.get(document.getElementById(id));

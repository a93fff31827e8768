// Lays panels out in Grafana's grid of 24 columns, draws lines with uPlot, and says when it is done.
const COLOURS = ["#3274d9", "#e0752d", "#37872d", "#a352cc", "#c4162a", "#1f9ca8", "#b7851b", "#6e6e6e", "#8ab8ff", "#ffa6b0", "#96d98d", "#ca95e5"];
const NAMED = { green: "#37872d", yellow: "#d9a900", orange: "#e0752d", red: "#c4162a", "dark-red": "#7a0c18" };
const main = document.querySelector("main"), counts = { charts: 0, numbers: 0, lines: 0, empty: 0 };

function shown(value, unit) {
  const size = Math.abs(value);
  if (unit === "percentunit") return (100 * value).toFixed(size < 0.1 && size > 0 ? 2 : 1).replace(/\.0+$/, "") + " %";
  if (unit === "s") {
    if (size === 0) return "0 s";
    if (size < 1) return (1000 * value).toPrecision(3).replace(/\.?0+$/, "") + " ms";
    if (size < 120) return +value.toPrecision(3) + " s";
    if (size < 7200) return +(value / 60).toPrecision(3) + " min";
    return size < 172800 ? +(value / 3600).toPrecision(3) + " h" : +(value / 86400).toPrecision(3) + " d";
  }
  if (unit === "bytes") return +(value / 1048576).toPrecision(3) + " MiB";
  const text = size >= 10000 ? (value / 1000).toPrecision(3) + " k" : String(+value.toPrecision(3));
  return unit === "reqps" ? text + "/s" : text;
}

function colourOf(value, limits) {
  let found = "#24292e";
  limits.forEach(([from, colour], place) => { if (place === 0 || value >= from) found = NAMED[colour] || colour; });
  return limits.length ? found : "#24292e";
}

function numbers(box, panel) {
  const list = document.createElement("div");
  if (panel.lines.length > 3) list.className = "many";
  for (const line of panel.lines) {
    const value = line.points[line.points.length - 1][1], one = document.createElement("div");
    one.className = "number";
    one.innerHTML = "<b></b><span></span>";
    one.firstChild.textContent = shown(value, panel.unit);
    one.firstChild.style.color = colourOf(value, panel.limits);
    one.lastChild.textContent = line.name;
    list.append(one);
    counts.numbers += 1;
  }
  box.append(list);
}

function marked(plot) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.strokeStyle = "#9a9a9a"; ctx.fillStyle = "#777"; ctx.setLineDash([3, 3]); ctx.font = `${9 * devicePixelRatio}px sans-serif`;
  for (const [at, what] of board.marks) {
    const x = plot.valToPos(at, "x", true);
    ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
    // Along the line: parts may be short.
    ctx.save(); ctx.translate(x + 3 * devicePixelRatio, bbox.top + 2 * devicePixelRatio); ctx.rotate(Math.PI / 2);
    ctx.textAlign = "left"; ctx.fillText(what, 0, 0); ctx.restore();
  }
  ctx.restore();
}

function limited(panel) {
  return plot => {
    const { ctx, bbox } = plot;
    ctx.save(); ctx.setLineDash([6, 4]);
    for (const [from, colour] of panel.limits.slice(1)) {
      const y = plot.valToPos(from, "y", true);
      if (y < bbox.top || y > bbox.top + bbox.height) continue;
      ctx.strokeStyle = NAMED[colour] || colour;
      ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
    }
    ctx.restore();
  };
}

function chart(box, panel, width, height) {
  const tables = panel.lines.map(line => [line.points.map(point => point[0]), line.points.map(point => point[1])]);
  const values = panel.lines.flatMap(line => line.points.map(point => point[1]));
  let low = Math.min(...values), high = Math.max(...values);
  if (panel.floor !== null) low = Math.min(panel.floor, low);
  if (panel.ceiling !== null) high = Math.max(panel.ceiling, high);
  if (high - low < 1e-12) { high += Math.abs(high) || 1; if (panel.floor === null) low -= Math.abs(low) || 1; }
  const clock = at => new Date(1000 * at).toISOString().slice(11, 19);
  new uPlot({
    width, height, legend: { show: false }, cursor: { show: false }, hooks: { draw: [limited(panel), marked] },
    scales: { x: { range: [board.begin, board.end] }, y: { range: [low, high + (panel.ceiling === null ? 0.06 * (high - low) : 0)] } },
    axes: [{ values: (_, ats) => ats.map(clock), space: 90, font: "10px sans-serif" },
           { values: (_, ticks) => ticks.map(tick => shown(tick, panel.unit)), size: 62, font: "10px sans-serif" }],
    series: [{}, ...panel.lines.map((line, place) => ({ label: line.name, stroke: COLOURS[place], width: 1.5, points: { show: line.points.length < 3 } }))],
  }, uPlot.join(tables), box);
  const names = document.createElement("div");
  names.className = "names";
  panel.lines.forEach((line, place) => {
    const dash = document.createElement("i");
    dash.style.background = COLOURS[place];
    names.append(dash, line.name);
  });
  box.append(names);
  counts.charts += 1; counts.lines += panel.lines.length;
}

const column = innerWidth / 24;
for (const row of board.rows) {
  const heading = document.createElement("h2");
  heading.textContent = row.title;
  heading.style.top = `${row.place.y * board.unit}px`;
  main.append(heading);
}
for (const panel of board.panels) {
  const box = document.createElement("div"), inner = document.createElement("div"), title = document.createElement("div");
  box.className = "panel"; title.className = "title"; title.textContent = panel.title;
  Object.assign(box.style, { left: `${panel.place.x * column}px`, top: `${panel.place.y * board.unit}px`, width: `${panel.place.w * column}px`, height: `${panel.place.h * board.unit}px` });
  inner.append(title); box.append(inner); main.append(box);
  if (!panel.lines.length) {
    inner.insertAdjacentHTML("beforeend", '<div class="empty">No data</div>');
    counts.empty += 1;
  } else if (panel.kind === "stat") numbers(inner, panel);
  else chart(inner, panel, panel.place.w * column - 24, panel.place.h * board.unit - 70);
}
Object.assign(document.body.dataset, counts, { ready: "yes" });

// Draws the charts of the page from the JSON document `figures`, by uPlot. What a chart may hold is written in chart_spec.py.
(() => {
  "use strict";

  const WIDE_PX = 340, HALF_PX = 270;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const drawn = {};
  window.almanac = { charts: drawn, figures };

  const colour = (name, alpha = "") => getComputedStyle(document.documentElement).getPropertyValue(`--c-${name}`).trim() + alpha;
  // An inner band lies on an outer one, and looks darker for it.
  const shade = (band, place) => colour(band.colour, dark.matches ? "4d" : place ? "40" : "30");
  const size = (box, chart) => ({ width: Math.floor(box.clientWidth), height: chart.wide ? WIDE_PX : HALF_PX });

  // Numbers are written as the tables of the page write them.
  function number(value, share) {
    if (value == null) return "–";
    if (share) return `${(100 * value).toFixed(1)} %`;
    const size = Math.abs(value);
    const digits = size >= 1000 || size === 0 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
    return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  }

  const tick = (value, share) => share
    ? `${+(100 * value).toFixed(6)} %`
    : value.toLocaleString("en-US", { maximumFractionDigits: 6 });

  // Times of a zone, in parts, so that a day begins where the zone says it does.
  function clock(zone) {
    const format = options => {
      const made = new Intl.DateTimeFormat("en-GB", { timeZone: zone, hourCycle: "h23", ...options });
      return seconds => made.format(new Date(1000 * seconds));
    };
    const hour = format({ hour: "2-digit", minute: "2-digit" });
    const day = format({ day: "numeric", month: "short" });
    const month = format({ month: "short", year: "numeric" });
    const whole = format({ weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" });
    return { hour, day, month, whole };
  }

  function bounds(chart) {
    if (chart.share_x) return [0, 1];
    const first = chart.x[0], last = chart.x[chart.x.length - 1];
    // A bubble at an edge must be seen whole.
    if (chart.lines.some(line => line.kind === "bubbles")) return [first - 0.12 * (last - first || first), last + 0.12 * (last - first || first)];
    const pad = hasBars(chart) ? 0.6 : first === last ? 0.5 : 0;
    // Room for a forecast of one step, which would lie on the edge.
    const step = chart.marks.some(mark => chart.zone && mark.x === last) ? last - chart.x[chart.x.length - 2] : 0;
    return [first - pad, last + pad + step];
  }

  const hasBars = chart => chart.lines.some(line => line.kind === "bars");

  function seriesOf(chart) {
    return chart.lines.map((line, place) => {
      const stroke = colour(line.colour);
      // A value without neighbours makes no line.
      const single = line.values.filter(value => value != null).length === 1;
      const base = {
        label: line.label, scale: "y", stroke, width: line.width, spanGaps: false, points: { show: single, size: 8, fill: stroke, stroke },
        value: (_, value, __, i) => i == null ? "" : number(value, chart.share),
      };
      switch (line.kind) {
        case "hidden": return { ...base, stroke: "transparent", width: 0, points: { show: false }, value: (u, value, __, i) => interval(u, chart, place, i) };
        case "bars": return { ...base, width: 0, fill: stroke, paths: uPlot.paths.bars({ size: [0.74, 46] }) };
        case "points": return { ...base, paths: () => null, points: { show: true, size: 6, fill: stroke, stroke } };
        case "dotted": return { ...base, points: { show: chart.x.length <= 60, size: single ? 8 : 5, fill: stroke, stroke } };
        // Drawn by `bubbles`, over the grid.
        case "bubbles": return { ...base, paths: () => null, points: { show: false }, value: (_, value, __, i) => value == null ? "" : `${line.labels[i]} ${number(value, chart.share)}` };
        case "dashes": return { ...base, dash: [6, 4] };
        default: return base;
      }
    });
  }

  function interval(u, chart, place, i) {
    const band = chart.bands.find(found => found.low === place);
    if (!band || i == null) return "";
    if (u.data[band.low + 1][i] == null) return "–";
    return `${number(u.data[band.low + 1][i])} to ${number(u.data[band.high + 1][i])}`;
  }

  function xValues(chart) {
    if (chart.zone) {
      const times = clock(chart.zone);
      return (u, splits, _, __, step) => splits.map(at => {
        if (step >= 2419200) return times.month(at);
        return step >= 86400 || times.hour(at) === "00:00" ? times.day(at) : times.hour(at);
      });
    }
    if (chart.names.length) return (u, splits) => splits.map(at => (Number.isInteger(at) && chart.names[at]) || "");
    return (u, splits) => splits.map(at => tick(at, chart.share_x));
  }

  function axesOf(chart) {
    const shared = {
      stroke: colour("muted"), font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif", labelSize: 20,
      ticks: { stroke: colour("rule"), width: 1, size: 4 },
    };
    const longest = chart.names.reduce((most, name) => Math.max(most, name.length), 0);
    const x = {
      ...shared, label: chart.x_label, values: xValues(chart), grid: { show: false }, size: 30,
      space: chart.zone ? 62 : longest > 0 ? 12 + 7 * longest : 44,
    };
    if (!chart.zone && chart.x.every(Number.isInteger)) x.incrs = [1, 2, 3, 4, 6, 12, 24, 48, 96, 168, 336];
    const y = {
      ...shared, label: chart.y_label, grid: { stroke: colour("grid"), width: 1 }, space: 36,
      values: (u, splits) => splits.map(at => tick(at, chart.share)),
      size: (u, values) => 14 + 7 * Math.max(3, ...(values || []).map(text => text.length)),
    };
    return [x, y];
  }

  function marks(chart) {
    return u => {
      for (const mark of chart.marks) {
        if (mark.x < u.scales.x.min || mark.x > u.scales.x.max) continue;
        const at = Math.round(u.valToPos(mark.x, "x", true)), ratio = uPlot.pxRatio, { ctx, bbox } = u;
        ctx.save();
        ctx.strokeStyle = colour("muted");
        ctx.lineWidth = ratio;
        ctx.setLineDash([5 * ratio, 4 * ratio]);
        ctx.beginPath();
        ctx.moveTo(at, bbox.top);
        ctx.lineTo(at, bbox.top + bbox.height);
        ctx.stroke();
        ctx.fillStyle = colour("muted");
        ctx.font = `${12 * ratio}px system-ui, sans-serif`;
        ctx.textBaseline = "top";
        const right = at - bbox.left < bbox.width / 2;
        ctx.textAlign = right ? "left" : "right";
        ctx.fillText(mark.label, at + (right ? 6 : -6) * ratio, bbox.top + 2 * ratio);
        ctx.restore();
      }
    };
  }

  // Circles whose areas are the sizes, on one scale for the chart; the largest first, so that none hides another.
  function bubbles(chart) {
    const lines = chart.lines.filter(line => line.kind === "bubbles"), largest = Math.max(1, ...lines.flatMap(line => line.sizes));
    const all = lines.flatMap(line => line.values.map((value, i) => ({ line, i, value }))).filter(({ value }) => value != null);
    all.sort((a, b) => b.line.sizes[b.i] - a.line.sizes[a.i]);
    return u => {
      const ratio = uPlot.pxRatio, { ctx } = u;
      ctx.save();
      for (const { line, i, value } of all) {
        const x = u.valToPos(chart.x[i], "x", true), y = u.valToPos(value, "y", true);
        ctx.beginPath();
        ctx.arc(x, y, (4 + 22 * Math.sqrt(line.sizes[i] / largest)) * ratio, 0, 2 * Math.PI);
        ctx.fillStyle = colour(line.colour, "66");
        ctx.strokeStyle = colour(line.colour);
        ctx.lineWidth = 1.5 * ratio;
        ctx.fill();
        ctx.stroke();
      }
      ctx.restore();
    };
  }

  function optionsOf(chart, box) {
    const scales = {
      x: { time: Boolean(chart.zone), range: (u, low, high) => u.almanacRange || bounds(chart) },
      y: { range: (u, low, high) => low == null ? [0, 1] : uPlot.rangeNum(chart.from_zero ? 0 : low, high, chart.lines.some(line => line.kind === "bubbles") ? 0.2 : 0.08, true) },
    };
    const first = {
      label: "x",
      value: (_, at) => at == null ? "" : chart.zone ? clock(chart.zone).whole(at) : chart.names.length ? chart.names[at] : `${tick(at, chart.share_x)} ${chart.x_label}`,
    };
    return {
      ...size(box, chart), padding: [10, 26, 0, 0], scales, axes: axesOf(chart), series: [first, ...seriesOf(chart)],
      bands: chart.bands.map((band, place) => ({ series: [band.high + 1, band.low + 1], fill: shade(band, place) })),
      tzDate: chart.zone ? seconds => uPlot.tzDate(new Date(1000 * seconds), chart.zone) : undefined,
      cursor: { y: false, drag: { x: chart.zoom, y: false, setScale: false }, points: { size: 7 } },
      legend: { live: true, markers: { width: 0, fill: (u, i) => i ? marker(chart, i - 1) : "transparent" } },
      hooks: { drawAxes: [marks(chart)], draw: [bubbles(chart)], setSelect: [u => select(u)], ready: [u => rename(u, chart)] },
    };
  }

  function marker(chart, place) {
    const band = chart.bands.findIndex(found => found.low === place);
    return band < 0 ? colour(chart.lines[place].colour) : shade(chart.bands[band], band);
  }

  // Both edges of a band are one entry of the legend, and x has only its value.
  function rename(u, chart) {
    const rows = u.root.querySelectorAll(".u-legend .u-series");
    rows[0].querySelector(".u-label").textContent = "";
    chart.lines.forEach((line, place) => {
      const band = chart.bands.find(found => found.low === place);
      if (band) {
        rows[place + 1].querySelector(".u-label").textContent = band.label;
        rows[place + 1].classList.add("wide");
      }
      else if (line.kind === "hidden" || !line.label) rows[place + 1].hidden = true;
    });
    u.over.addEventListener("dblclick", () => show(u, null));
  }

  function select(u) {
    if (u.select.width < 8) return;
    show(u, [u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x")]);
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
  }

  // Looks at a part of x; none: at all of it. The height follows what is seen.
  function show(u, range) {
    const [first, last] = u.extent;
    const steps = range && u.data[0].filter(at => at >= range[0] && at <= range[1]).length;
    if (range && steps < 3) return;
    u.almanacRange = range && [Math.max(first, range[0]), Math.min(last, range[1])];
    const [low, high] = u.almanacRange || [first, last];
    u.setScale("x", { min: low, max: high });
  }

  function look(u, chart, what) {
    const { min, max } = u.scales.x, middle = (min + max) / 2, half = (max - min) / 2;
    const [first, last] = u.extent;
    const move = by => { const at = Math.min(Math.max(min + by, first), last - 2 * half); show(u, [at, at + 2 * half]); };
    switch (what) {
      case "all": return show(u, null);
      case "forecast": return show(u, [chart.marks[0].x, last]);
      case "in": return show(u, [middle - half / 2, middle + half / 2]);
      case "out": return 4 * half >= last - first ? show(u, null) : show(u, [middle - 2 * half, middle + 2 * half]);
      case "back": return move(-half / 2);
      case "on": return move(half / 2);
    }
  }

  function draw(box) {
    const id = box.dataset.chart, chart = figures[id];
    if (drawn[id]) drawn[id].destroy();
    const data = [chart.x, ...chart.lines.map(line => line.values)];
    drawn[id] = new uPlot(optionsOf(chart, box), data, box);
    drawn[id].extent = bounds(chart);
  }

  const boxes = [...document.querySelectorAll("[data-chart]")];
  boxes.forEach(draw);
  dark.addEventListener("change", () => boxes.forEach(draw));
  const watch = new ResizeObserver(entries => {
    for (const { target } of entries) {
      const id = target.dataset.chart, wanted = size(target, figures[id]);
      if (wanted.width && wanted.width !== drawn[id].width) drawn[id].setSize(wanted);
    }
  });
  boxes.forEach(box => watch.observe(box));
  document.querySelectorAll("[data-look]").forEach(button => button.addEventListener("click", () => {
    const id = button.closest("figure").querySelector("[data-chart]").dataset.chart;
    look(drawn[id], figures[id], button.dataset.look);
  }));
})();

// One forecast: its cards, its chart and its table.

import { accuracy, intervals } from "./accuracy.js";
import { draw, leaveEmpty } from "./charts.js";
import { card, row } from "./model.js";
import { length, number, seconds, share } from "./wording.js";

const $ = id => document.getElementById(id);

// The target by time, of a history document.
export function targets(history) {
  const start = seconds(history.start);
  return new Map(history.values[history.target].map((value, i) => [start + i * history.step_s, value]));
}

// Bands of a forecast for a chart over other times, the widest first.
export function bandsOf(quantiles, spread) {
  const levels = Object.keys(quantiles).map(Number).sort((a, b) => a - b);
  return intervals(levels).map(band => ({
    label: `${share(band.share).replace(".0 %", " %")} interval`, low: spread(quantiles[String(band.low)]), high: spread(quantiles[String(band.high)]),
  }));
}

export function showHistoryOnly(text) {
  leaveEmpty($("forecast-chart"), text);
  ["cards", "forecast-looks", "numbers", "past"].forEach(id => { $(id).hidden = true; });
  $("forecast-lead").textContent = "";
}

export function showNoForecast(model, history, text) {
  showHistoryOnly(text);
  $("forecast-lead").textContent = text;
  const known = targets(history), x = [...known.keys()], values = [...known.values()];
  if (x.length < 2 || values.every(value => value === null)) return;
  draw($("forecast-chart"), {
    x, lines: [{ label: "history", colour: "ink", values, width: 1.5 }], bands: [], marks: [], clock: model.clock, unit: model.target,
    alt: `Chart of the history of ${history.series}; there is no forecast.`,
  });
}

export function showForecast(model, history, forecast) {
  const { clock } = model, known = targets(history), origin = seconds(forecast.origin), ahead = forecast.timestamps.map(seconds);
  const x = [...new Set([...known.keys(), ...ahead])].sort((a, b) => a - b);
  const spread = values => { const at = new Map(ahead.map((time, i) => [time, values[i]])); return x.map(time => at.get(time) ?? null); };
  const actual = x.map(time => time >= origin ? known.get(time) ?? null : null), has_actual = actual.some(value => value !== null);
  const lines = [
    { label: "history", colour: "ink", values: x.map(time => time < origin ? known.get(time) ?? null : null), width: 1.5 },
    { label: forecast.degraded ? "seasonal naive (median)" : "forecast (median)", colour: "candidate", values: spread(forecast.point), width: 2.2 },
  ];
  if (has_actual) lines.splice(1, 0, { label: "actual", colour: "actual", values: actual, width: 1.5 });
  draw($("forecast-chart"), {
    x, lines, bands: bandsOf(forecast.quantiles, spread), marks: [{ x: origin, label: "forecast begins" }], clock, unit: model.target,
    alt: `Chart of ${forecast.series}: history, and the forecast from ${clock.whole(origin)} on with its intervals.`,
  });
  $("forecast-lead").textContent = lead(model, forecast, origin);
  $("forecast-looks").hidden = false;
  showCards(model, forecast, origin, ahead, has_actual ? known : null);
  showTable(model, forecast, has_actual ? known : null);
}

function lead(model, forecast, origin) {
  const said = [`${model.target} of ${forecast.series}, ${length(model.horizon * model.step_s)} from ${model.clock.whole(origin)} ${model.clock.zone(origin)} on.`];
  if (forecast.limited_by) said.push(`It could not begin later: ${limit(model.clock, forecast.limited_by)}.`);
  if (forecast.stale) said.push("The last known values lie more than a horizon before it.");
  else if (forecast.imputed) said.push("Some values that the model reads were missing and were filled.");
  return said.join(" ");
}

// What limits an origin, without the advice for programs behind it, in local time.
function limit(clock, text) {
  return text.split(";")[0].replace(/\d{4}-\d\d-\d\dT[\d:]+Z/g, found => clock.short(seconds(found)));
}

function outer(forecast) {
  const levels = Object.keys(forecast.quantiles).map(Number).sort((a, b) => a - b), [widest] = intervals(levels);
  return widest && { share: widest.share, low: forecast.quantiles[String(widest.low)], high: forecast.quantiles[String(widest.high)] };
}

function showCards(model, forecast, origin, ahead, known) {
  const { clock } = model, band = outer(forecast), values = forecast.point;
  const range = i => band ? `${number(band.low[i])} to ${number(band.high[i])} with ${share(band.share).replace(".0 %", " %")}` : clock.short(ahead[i]);
  const highest = values.indexOf(Math.max(...values)), lowest = values.indexOf(Math.min(...values));
  const cards = [card("First step", number(values[0]), range(0))];
  if (values.length > 1) {
    cards.push(card("Highest", number(values[highest]), clock.short(ahead[highest])), card("Lowest", number(values[lowest]), clock.short(ahead[lowest])));
    cards.push(card("Mean", number(values.reduce((sum, one) => sum + one, 0) / values.length), `over ${length(model.horizon * model.step_s)}`));
  }
  const found = known && accuracy(ahead.map((time, i) => ({ actual: known.get(time), point: values[i], low: band?.low[i], high: band?.high[i] })));
  if (found) cards.push(card("Mean absolute error", number(found.mae), `${share(found.wape)} of the actual values, ${found.n} steps`));
  $("cards").replaceChildren(...cards);
  $("cards").hidden = false;
}

function showTable(model, forecast, known) {
  const levels = Object.keys(forecast.quantiles), { clock } = model;
  $("numbers").hidden = false;
  $("numbers").querySelector("thead").replaceChildren(row(["Time", "Forecast", ...levels.map(level => `q${level}`), ...(known ? ["Actual"] : [])], "th"));
  $("numbers").querySelector("tbody").replaceChildren(...forecast.timestamps.map((text, i) => {
    const at = seconds(text), cells = [clock.whole(at), number(forecast.point[i]), ...levels.map(level => number(forecast.quantiles[level][i]))];
    return row(known ? [...cells, number(known.get(at))] : cells);
  }));
}

// The forecast as rows of a CSV file.
export function table(forecast) {
  const levels = Object.keys(forecast.quantiles), quoted = `"${forecast.series.replaceAll('"', '""')}"`;
  const rows = forecast.timestamps.map((at, i) => [quoted, at, forecast.point[i], ...levels.map(level => forecast.quantiles[level][i]), forecast.degraded]);
  return [["series", "timestamp", "point", ...levels.map(level => `q${level}`), "degraded"], ...rows];
}

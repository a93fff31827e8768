// What the model would have forecast from earlier origins, beside what came.

import { ask } from "./asking.js";
import { accuracy, intervals } from "./accuracy.js";
import { draw } from "./charts.js";
import { bandsOf, targets } from "./forecast.js";
import { card } from "./model.js";
import { iso, length, number, seconds, share } from "./wording.js";

const $ = id => document.getElementById(id);

// Forecasts from origins a horizon apart, and the values of that time.
export async function askPast(model, entry, signal) {
  const path = `v1/series/${encodeURIComponent(entry.id)}`;
  const { forecasts } = await ask(`${path}/replays`, { signal });
  if (!forecasts.length) return null;
  const until = seconds(forecasts[forecasts.length - 1].timestamps.at(-1)) + model.step_s;
  const steps = (until - seconds(forecasts[0].origin)) / model.step_s;
  const history = await ask(`${path}/history?steps=${Math.min(steps, 100_000)}&until=${iso(until)}`, { signal });
  return { history, forecasts };
}

// Whether there was anything to show.
export function showPast(model, past) {
  if (past === null) return false;
  const known = targets(past.history), { forecasts } = past;
  const x = forecasts.flatMap(one => one.timestamps.map(seconds)), join = pick => forecasts.flatMap(pick);
  const levels = Object.keys(forecasts[0].quantiles), quantiles = Object.fromEntries(levels.map(level => [level, join(one => one.quantiles[level])]));
  const actual = x.map(time => known.get(time) ?? null);
  if (actual.every(value => value === null)) return false;
  $("past").hidden = false;
  draw($("past-chart"), {
    x, bands: bandsOf(quantiles, values => values).slice(0, 1), clock: model.clock, unit: model.target, marks: marksOf(model, x),
    lines: [{ label: "actual", colour: "actual", values: actual, width: 1.5 }, { label: "forecast (median)", colour: "candidate", values: join(one => one.point), width: 1.8 }],
    alt: `Chart of ${past.history.series}: ${forecasts.length} past forecasts beside actual values.`,
  });
  showFigures(model, past, known);
  return true;
}

function marksOf(model, x) {
  const last = x[x.length - 1], candidates = [["end of training", model.learnt_until], ["cutoff", model.cutoff]];
  return candidates.filter(([, text]) => text !== null).map(([label, text]) => ({ label, x: seconds(text) })).filter(mark => mark.x > x[0] && mark.x <= last);
}

function showFigures(model, { forecasts }, known) {
  const learnt = seconds(model.learnt_until) ?? -Infinity, fresh = forecasts.filter(one => seconds(one.origin) >= learnt);
  const used = fresh.length ? fresh : forecasts, levels = Object.keys(used[0].quantiles), [widest] = intervals(levels.map(Number).sort((a, b) => a - b));
  const found = accuracy(used.flatMap(one => one.timestamps.map((text, i) => ({
    actual: known.get(seconds(text)), point: one.point[i], low: widest && one.quantiles[String(widest.low)][i], high: widest && one.quantiles[String(widest.high)][i],
  }))));
  const degraded = used.filter(one => one.degraded).length, { clock } = model;
  const first = seconds(used[0].origin), said = [
    `What ${degraded ? "would have been answered" : `version ${model.version} would have forecast`} from ${forecasts.length} earlier origins, ${length(model.horizon * model.step_s)} apart, knowing only what lay before each.`,
  ];
  if (degraded) said.push(`${degraded} of them are by the fallback, not by the model.`);
  if (!fresh.length) said.push("It was trained on this time, so a new time will show larger errors.");
  else if (fresh.length < forecasts.length) said.push(`The figures are over those from ${clock.date(first)} on, which it was not trained on.`);
  else if (Number.isFinite(learnt)) said.push("It was not trained on this time.");
  $("past-lead").textContent = said.join(" ");
  if (!found) return $("past-cards").replaceChildren();
  const cards = [card("Mean absolute error", number(found.mae), `over ${found.n.toLocaleString("en-US")} steps`), card("Share of actual values", share(found.wape), "sum of errors by sum of values")];
  cards.push(card("Bias", `${found.bias > 0 ? "+" : ""}${number(found.bias)}`, found.bias > 0 ? "forecasts are too high" : "forecasts are too low"));
  if (found.coverage !== null) cards.push(card(`Within the ${share(widest.share).replace(".0 %", " %")} interval`, share(found.coverage), `of actual values; ${share(widest.share)} is right`));
  $("past-cards").replaceChildren(...cards);
}

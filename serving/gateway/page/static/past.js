// What the model would have forecast from earlier origins, beside what came.

import { ask } from "./asking.js";
import { accuracy, intervals } from "./accuracy.js";
import { draw } from "./charts.js";
import { bandsOf, targets } from "./forecast.js";
import { card } from "./model.js";
import { iso, length, number, seconds, share } from "./wording.js";

const $ = id => document.getElementById(id);

// Forecasts that were given out, from origins a horizon apart, and the values of that time; where none of them has an actual value
// yet, what the model would have forecast, which is no proof of what it did.
export async function askPast(model, entry, signal) {
  const path = `v1/series/${encodeURIComponent(entry.id)}`;
  const given = (await ask(`${path}/forecasts`, { signal })).forecasts.filter(one => one.actual.some(value => value !== null));
  const kept = given.length > 0, forecasts = kept ? given : (await ask(`${path}/replays`, { signal })).forecasts;
  if (!forecasts.length) return null;
  const ends = forecasts.map(one => seconds(one.timestamps.at(-1)) + model.step_s), until = Math.max(...ends);
  // A horizon before the first one shows where what the model knew ends.
  const steps = (until - seconds(forecasts[0].origin)) / model.step_s + (kept ? model.horizon : 0);
  const history = await ask(`${path}/history?steps=${Math.min(steps, 100_000)}&until=${iso(until)}`, { signal });
  return { history, forecasts, kept };
}

// Whether there was anything to show.
export function showPast(model, past) {
  if (past === null) return false;
  const known = targets(past.history), { forecasts } = past;
  const x = [...new Set([...known.keys(), ...forecasts.flatMap(one => one.timestamps.map(seconds))])].sort((a, b) => a - b);
  // Of a version whose horizon was longer, the steps of the next forecast are those that count.
  const spread = pick => { const at = new Map(forecasts.flatMap(one => one.timestamps.map((text, i) => [seconds(text), pick(one)?.[i]]))); return x.map(time => at.get(time) ?? null); };
  const levels = Object.keys(forecasts.at(-1).quantiles), quantiles = Object.fromEntries(levels.map(level => [level, spread(one => one.quantiles[level])]));
  const actual = x.map(time => known.get(time) ?? null);
  if (actual.every(value => value === null)) return false;
  $("past").hidden = false;
  draw($("past-chart"), {
    x, bands: bandsOf(quantiles, values => values).slice(0, 1), clock: model.clock, unit: model.target, marks: marksOf(model, x),
    lines: [{ label: "actual", colour: "actual", values: actual, width: 1.5 }, { label: "forecast (median)", colour: "candidate", values: spread(one => one.point), width: 1.8 }],
    alt: `Chart of ${past.history.series}: ${forecasts.length} past forecasts beside actual values.`,
  });
  showFigures(model, past, known);
  return true;
}

function marksOf(model, x) {
  const last = x[x.length - 1], candidates = [["end of training", model.learnt_until], ["cutoff", model.cutoff]];
  return candidates.filter(([, text]) => text !== null).map(([label, text]) => ({ label, x: seconds(text) })).filter(mark => mark.x >= x[0] && mark.x <= last);
}

function saidOfKept({ clock }, forecasts) {
  const versions = [...new Set(forecasts.map(one => one.version))].sort((a, b) => a - b), late = forecasts.filter(one => seconds(one.made_at) > seconds(one.timestamps.at(-1))).length;
  const by = versions.length > 1 ? `versions ${versions.slice(0, -1).join(", ")} and ${versions.at(-1)}` : `version ${versions[0]}`;
  const n = forecasts.length > 1 ? `The ${forecasts.length} forecasts` : "The forecast", was = forecasts.length > 1 ? "were" : "was";
  const said = [`${n} by ${by} that ${was} given out from ${clock.date(seconds(forecasts[0].origin))} on, as the log has ${forecasts.length > 1 ? "them" : "it"}.`];
  if (late) said.push(late === forecasts.length ? `${forecasts.length > 1 ? "They were" : "It was"} asked for after ${forecasts.length > 1 ? "their" : "its"} time had passed.` : `${late} of them ${late > 1 ? "were" : "was"} asked for after ${late > 1 ? "their" : "its"} time had passed.`);
  return said;
}

function saidOfReplays(model, forecasts, fresh, learnt) {
  const apart = length(model.horizon * model.step_s), who = forecasts.some(one => one.degraded) ? "would have been answered" : `version ${model.version} would have forecast`;
  const said = [`A replay, as no forecast was given out yet whose time has passed: what ${who} from ${forecasts.length} earlier origins, ${apart} apart, knowing only what lay before each.`];
  if (!fresh.length) said.push("It was trained on this time, so a new time will show larger errors.");
  else if (fresh.length < forecasts.length) said.push(`The figures are over those from ${model.clock.date(seconds(fresh[0].origin))} on, which it was not trained on.`);
  else if (Number.isFinite(learnt)) said.push("It was not trained on this time.");
  return said;
}

function showFigures(model, { forecasts, kept }, known) {
  const learnt = seconds(model.learnt_until) ?? -Infinity, fresh = kept ? forecasts : forecasts.filter(one => seconds(one.origin) >= learnt);
  const used = fresh.length ? fresh : forecasts, levels = Object.keys(used[0].quantiles), [widest] = intervals(levels.map(Number).sort((a, b) => a - b));
  const found = accuracy(used.flatMap(one => one.timestamps.map((text, i) => ({
    actual: known.get(seconds(text)), point: one.point[i], low: widest && one.quantiles[String(widest.low)][i], high: widest && one.quantiles[String(widest.high)][i],
  }))));
  const said = kept ? saidOfKept(model, forecasts) : saidOfReplays(model, forecasts, fresh, learnt), degraded = used.filter(one => one.degraded).length;
  if (degraded) said.push(`${degraded} of them ${degraded === 1 ? "is" : "are"} by the fallback, not by the model.`);
  $("past-lead").textContent = said.join(" ");
  if (!found) return $("past-cards").replaceChildren();
  const cards = [card("Mean absolute error", number(found.mae), `over ${found.n.toLocaleString("en-US")} steps`), card("Share of actual values", share(found.wape), "sum of errors by sum of values")];
  cards.push(card("Bias", `${found.bias > 0 ? "+" : ""}${number(found.bias)}`, found.bias > 0 ? "forecasts are too high" : "forecasts are too low"));
  if (found.coverage !== null) cards.push(card(`Within the ${share(widest.share).replace(".0 %", " %")} interval`, share(found.coverage), `of actual values; ${share(widest.share)} is right`));
  $("past-cards").replaceChildren(...cards);
}

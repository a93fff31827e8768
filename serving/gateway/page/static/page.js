// The page: which series and origin are looked at, and what the gateway says of them.

import { AskError, ask, forgetToken, hasToken, keepToken } from "./asking.js";
import { look, readByKeys, shown } from "./charts.js";
import { Picker } from "./picking.js";
import { askPast, showPast } from "./past.js";
import { showForecast, showHistoryOnly, showNoForecast, table } from "./forecast.js";
import { showFacts, showState } from "./model.js";
import { clock, every, iso, length, seconds } from "./wording.js";

const LOOK_MS = 30_000;
const DAYS = [1, 2, 3, 7, 14, 28, 91, 182, 365, 1095];
const $ = id => document.getElementById(id);
const now = { model: null, entries: [], entry: null, origin: null, days: null, seen: null, asking: null };
// For who looks at the page from outside, a test for one.
window.almanac = { chart: shown, now };

const picker = new Picker($("series"), $("series-list"), entry => choose(entry, null));

// --- words from here on -------------------------------------------------------------------------------------------------

function notice(id, kind, title, text, again) {
  $(id)?.remove();
  if (title === null) return;
  const box = Object.assign(document.createElement("div"), { id, className: `notice ${kind}` });
  const words = document.createElement("p");
  words.append(Object.assign(document.createElement("b"), { textContent: `${title} ` }), text);
  box.append(words);
  if (again) {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Try again" });
    button.addEventListener("click", again);
    box.append(button);
  }
  $("notices").append(box);
}

const clear = id => notice(id, "", null);

// What an error means for the page; the text of the gateway is shown as it is.
function failed(error, again, id = "failure") {
  if (error.name === "AbortError") return;
  if (!(error instanceof AskError)) throw error;
  if (error.status === 401) return askToken(hasToken() ? error.message : "");
  const title = { 0: "No connection.", 403: "Not allowed.", 429: "Too many requests.", 503: "No answer now." }[error.status] ?? "That did not work.";
  if (error.status === 0) showState("bad", "unreachable");
  notice(id, "bad", title, error.message, again);
}

function askToken(why) {
  forgetToken();
  $("token-why").textContent = why || "Whoever runs it can make one for you.";
  showState("waiting", "locked");
  if (!$("token-dialog").open) $("token-dialog").showModal();
}

$("token-dialog").addEventListener("cancel", event => event.preventDefault());
$("token-form").addEventListener("submit", event => {
  event.preventDefault();
  keepToken($("token").value.trim());
  $("token").value = "";
  $("token-dialog").close();
  start();
});

// --- the model ----------------------------------------------------------------------------------------------------------

async function start() {
  clear("failure");
  showState("waiting", "loading");
  try {
    const [name] = await ask("v1/timeseries/models");
    const [model, list] = await Promise.all([ask(`v1/models/${encodeURIComponent(name)}`), ask("v1/series")]);
    now.entries = list.series;
    meet(model);
  } catch (error) {
    $("forecast").setAttribute("aria-busy", "false");
    return failed(error, start);
  }
  picker.fill(now.entries);
  fillDays();
  $("choices").hidden = !now.entries.length;
  if (!now.entries.length) return showHistoryOnly("The model has no series yet. They come with its next version.");
  const wanted = new URLSearchParams(location.hash.slice(1)), named = now.entries.find(entry => entry.id === wanted.get("series"));
  if (wanted.get("series") !== null && !named) notice("unknown", "", "Unknown series.", `“${wanted.get("series")}” is not among those of this model; another one is shown.`);
  const days = Number(wanted.get("days"));
  if (DAYS.includes(days)) $("days").value = String((now.days = days));
  const entry = named ?? now.entries.find(one => one.default_origin !== null && !one.degraded) ?? now.entries[0];
  const origin = named ? seconds(wanted.get("origin")) : null;
  choose(entry, Number.isFinite(origin) ? origin : null);
}

function meet(model) {
  now.model = { ...model, clock: clock(model.local_time) };
  document.title = `${model.model} · Almanac forecasts`;
  $("model-name").textContent = model.model;
  $("summary").textContent = `${model.target} every ${every(model.step_s)}, ${length(model.horizon * model.step_s)} ahead, for ${model.n_series.toLocaleString("en-US")} series.`;
  const away = model.problem !== "";
  showState(away ? "note" : "good", away ? "degraded" : "live");
  if (away) {
    const instead = model.fallback ? " A seasonal naive forecast, marked as such, stands in for the model." : " There is no fallback: nothing is forecast meanwhile.";
    notice("server", model.fallback ? "" : "bad", "The model server does not answer.", `${model.problem}.${instead}`, refresh);
  } else clear("server");
  showFacts(now.model);
  const at = seconds(model.cutoff), zone = now.model.clock.zone(at);
  $("zone").textContent = zone === "UTC" ? "Times are UTC." : `Times are local times of the series (${zone} at the cutoff).`;
}

// The state again, and the series of a new version; what is looked at stays.
async function refresh() {
  if (document.hidden || !now.model || $("token-dialog").open) return;
  const before = now.model;
  try {
    const model = await ask(`v1/models/${encodeURIComponent(before.model)}`);
    clear("failure");
    if (model.version !== before.version) return start();
    meet(model);
    if (model.problem !== before.problem) show();
  } catch (error) {
    failed(error, refresh);
  }
}

function fillDays() {
  const { step_s, horizon, history_length } = now.model;
  const usable = DAYS.filter(days => days * 86400 >= 2 * step_s && days * 86400 <= 20_000 * step_s);
  now.days ??= usable.find(days => days * 86400 >= Math.min(7 * horizon, Math.max(history_length, horizon)) * step_s) ?? usable[usable.length - 1];
  $("days").replaceChildren(...usable.map(days => new Option(length(days * 86400), days, false, days === now.days)));
}

// --- a series -----------------------------------------------------------------------------------------------------------

function choose(entry, origin) {
  now.entry = entry;
  now.origin = origin;
  picker.show(entry);
  show();
}

async function show() {
  const { entry, model } = now, origin = now.origin ?? seconds(entry.default_origin);
  now.asking?.abort();
  const { signal } = (now.asking = new AbortController());
  ["failure", "series-state", "past-state"].forEach(clear);
  remember();
  showOrigin(entry, origin);
  if (entry.degraded) notice("series-state", "", "This series is in quarantine.", `${sentence(entry.reason)} The model was not trained on it and is not asked for it; a seasonal naive forecast stands in.`);
  $("forecast").setAttribute("aria-busy", "true");
  const end = origin === null ? null : origin + model.horizon * model.step_s;
  const steps = Math.ceil((now.days * 86400) / model.step_s) + (end === null ? 0 : model.horizon);
  const path = `v1/series/${encodeURIComponent(entry.id)}/history?steps=${Math.min(steps, 100_000)}${end === null ? "" : `&until=${iso(end)}`}`;
  const [history, answer] = await Promise.allSettled([ask(path, { signal }), origin === null ? null : askForecast(entry, origin, signal)]);
  if (signal.aborted) return;
  $("forecast").setAttribute("aria-busy", "false");
  $("past").hidden = true;
  now.seen = null;
  if (history.status === "rejected") {
    showHistoryOnly("The history of this series could not be read.");
    return failed(history.reason, show);
  }
  if (answer.status === "rejected") {
    showNoForecast(model, history.value, "There is no forecast: see above.");
    return failed(answer.reason, show);
  }
  if (answer.value === null) return showNoForecast(model, history.value, noOrigin(entry));
  now.seen = answer.value;
  showForecast(model, history.value, answer.value);
  if (answer.value.degraded && !entry.degraded) notice("series-state", "", "This forecast is degraded.", `${sentence(answer.value.reason)} A seasonal naive forecast stands in for the model.`);
  await showPastOf(entry, signal);
}

async function askForecast(entry, origin, signal) {
  const body = { series: [entry.id] };
  // Without an origin the gateway says what limits the one that it takes.
  if (now.origin !== null) body.origin = iso(origin);
  return (await ask("v1/forecast", { body, signal })).forecasts[0];
}

async function showPastOf(entry, signal) {
  const { model } = now;
  try {
    const past = await askPast(model, entry, signal);
    if (!signal.aborted) $("past").hidden = !showPast(model, past);
  } catch (error) {
    failed(error, show, "past-state");
  }
}

function noOrigin(entry) {
  const why = entry.next_origin === null ? "it has no value of the target yet" : "its known covariates never cover a whole horizon";
  return `This series cannot be forecast: ${why}.`;
}

const sentence = text => `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

function remember() {
  const said = new URLSearchParams({ series: now.entry.id, days: now.days });
  if (now.origin !== null) said.set("origin", iso(now.origin));
  history.replaceState(null, "", `#${said}`);
}

// --- the origin ---------------------------------------------------------------------------------------------------------

function showOrigin(entry, origin) {
  const { clock: time, horizon, step_s } = now.model, reach = horizon * step_s;
  const [first, last] = [seconds(entry.first_origin), seconds(entry.last_origin)];
  const none = origin === null;
  ["origin", "earlier", "later", "latest"].forEach(id => { $(id).disabled = none; });
  $("latest").setAttribute("aria-pressed", String(now.origin === null && !none));
  $("origin").value = none ? "" : time.field(origin);
  if (!none) {
    Object.assign($("origin"), { min: time.field(first), max: time.field(last) });
    $("earlier").disabled = origin - reach < first;
    $("later").disabled = origin + reach > last;
  }
  $("origin-hint").textContent = none ? "" : `From ${time.date(first)} to ${time.date(last)}, ${time.zone(origin)}`;
  const place = now.entries.indexOf(entry) + 1;
  $("series-hint").textContent = now.entries.length === 1 ? "The only series of this model" : `${place.toLocaleString("en-US")} of ${now.entries.length.toLocaleString("en-US")}`;
}

// The nearest possible origin: on the grid of the series, between the first and the last.
function goTo(wanted) {
  const { entry, model } = now, [first, last] = [seconds(entry.first_origin), seconds(entry.last_origin)];
  const onGrid = first + Math.round((wanted - first) / model.step_s) * model.step_s;
  now.origin = Math.min(Math.max(onGrid, first), last);
  show();
}

const reach = by => goTo((now.origin ?? seconds(now.entry.default_origin)) + by * now.model.horizon * now.model.step_s);

$("earlier").addEventListener("click", () => reach(-1));
$("later").addEventListener("click", () => reach(1));
$("latest").addEventListener("click", () => { now.origin = null; show(); });
$("origin").addEventListener("change", () => {
  const wanted = $("origin").value && now.model.clock.fromField($("origin").value);
  if (wanted) goTo(wanted); else show();
});
$("days").addEventListener("change", () => { now.days = Number($("days").value); show(); });
$("choices").addEventListener("submit", event => event.preventDefault());

// --- the rest -----------------------------------------------------------------------------------------------------------

$("forecast-looks").addEventListener("click", event => {
  const what = event.target.dataset.look;
  if (what) look($("forecast-chart"), what, seconds(now.seen?.origin ?? null));
});
$("save").addEventListener("click", () => {
  const text = table(now.seen).map(row => row.join(",")).join("\n");
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([`${text}\n`], { type: "text/csv" })) });
  link.download = `${now.seen.series}-${now.seen.origin.replaceAll(":", "")}.csv`.replace(/[^\w.+-]+/g, "_");
  link.click();
  URL.revokeObjectURL(link.href);
});
["forecast-chart", "past-chart"].forEach(id => readByKeys($(id)));
document.addEventListener("visibilitychange", refresh);
setInterval(refresh, LOOK_MS);
start();

// What is known of the model: its state in the head of the page, its facts in a panel.

import { bytes, seconds } from "./wording.js";

const $ = id => document.getElementById(id);
const CAUSES = { quarantine: "series in quarantine", model_server: "model server away", model_answer: "answer not finite", cold: "no recent values" };

export function showState(kind, word) {
  $("state").className = `badge ${kind}`;
  $("state").textContent = word;
  $("masthead").className = `masthead ${kind === "waiting" ? "" : kind}`;
}

export function showFacts(model) {
  const { clock } = model, time = text => text === null ? "not known" : `${clock.whole(seconds(text))} ${clock.zone(seconds(text))}`;
  const fallbacks = Object.entries(model.degraded_answers).filter(([, count]) => count > 0);
  const facts = [
    ["Champion", `version ${model.version}`, roles(model)],
    ["In the model server", model.available_versions.length ? model.available_versions.map(one => `version ${one}`).join(", ") : "none", model.problem && "does not answer"],
    ["Serves since", model.champion_since === null ? "not known" : time(model.champion_since)],
    ["Trained by run", model.run ?? "not known"],
    ["Cutoff of its history", time(model.cutoff)],
    ["Variant", model.variant === null ? "not known" : model.variant.replaceAll("_", " "), `${bytes(model.version_bytes)} on disk`],
    ["Reads", `${model.history_length.toLocaleString("en-US")} steps of history`, [...model.observed, ...model.known].join(", ")],
    ["Quantiles", model.quantiles.join(", ")],
    ["Answered by the fallback", fallbacks.length ? fallbacks.map(([cause, count]) => `${count.toLocaleString("en-US")} ${CAUSES[cause] ?? cause}`).join(", ") : model.fallback ? "never" : "switched off", fallbacks.length ? "since the gateway started" : ""],
  ];
  $("facts").replaceChildren(...facts.map(fact));
  const apart = model.quarantined;
  $("quarantine").hidden = !apart.length;
  $("quarantine").querySelector("summary").textContent = `${apart.length.toLocaleString("en-US")} series in quarantine`;
  $("quarantine").querySelector("tbody").replaceChildren(...apart.slice(0, 200).map(({ series, reason }) => row([series, reason])));
  $("model").hidden = false;
}

function roles(model) {
  const others = ["previous", "candidate"].filter(role => model[role] !== null).map(role => `${role} ${model[role]}`);
  return others.join(", ");
}

function fact([label, value, more]) {
  const box = document.createElement("div"), told = document.createElement("dd");
  told.append(value);
  if (more) told.append(document.createElement("br"), Object.assign(document.createElement("small"), { textContent: more }));
  box.append(Object.assign(document.createElement("dt"), { textContent: label }), told);
  return box;
}

export function row(cells, tag = "td") {
  const made = document.createElement("tr");
  made.append(...cells.map(text => Object.assign(document.createElement(tag), { textContent: text })));
  return made;
}

export function card(label, value, note) {
  const made = Object.assign(document.createElement("div"), { className: "card" });
  const long = value.length > 14 ? " long" : "";
  for (const [name, text] of [["label", label], [`value${long}`, value], ["note", note]]) made.append(Object.assign(document.createElement("p"), { className: name, textContent: text }));
  return made;
}

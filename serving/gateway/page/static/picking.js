// A combobox over thousands of names, by the pattern of WAI-ARIA: only the best matches are in the page.

const MOST = 60;

export class Picker {
  // choose: called with an entry once it is picked.
  constructor(input, list, choose) {
    Object.assign(this, { input, list, choose, entries: [], found: [], active: -1, picked: null });
    input.addEventListener("input", () => this.open(input.value));
    input.addEventListener("click", () => this.list.hidden && this.open(""));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("keydown", event => this.onKey(event));
    input.addEventListener("blur", () => this.close());
    // Before the blur, which would take the list away.
    list.addEventListener("mousedown", event => {
      event.preventDefault();
      const place = event.target.closest("[role=option]")?.dataset.place;
      if (place !== undefined) this.pick(this.found[place]);
    });
  }

  fill(entries) {
    this.entries = entries.map(entry => ({ entry, key: entry.id.toLowerCase() }));
  }

  show(entry) {
    this.picked = entry;
    this.input.value = entry ? entry.id : "";
  }

  open(text) {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean), first = words[0] ?? "";
    const matches = this.entries.filter(({ key }) => words.every(word => key.includes(word)));
    // Names that begin with what was typed come first.
    const ordered = first ? [...matches.filter(({ key }) => key.startsWith(first)), ...matches.filter(({ key }) => !key.startsWith(first))] : matches;
    this.found = ordered.slice(0, MOST).map(({ entry }) => entry);
    const rest = matches.length - this.found.length;
    this.list.replaceChildren(...this.found.map((entry, place) => this.option(entry, place)));
    if (!matches.length) this.note(`No series has “${text}” in its name.`);
    if (rest > 0) this.note(`${rest.toLocaleString("en-US")} more: type a part of the name.`);
    this.list.hidden = false;
    this.input.setAttribute("aria-expanded", "true");
    this.activate(text ? 0 : Math.max(0, this.found.indexOf(this.picked)));
  }

  option(entry, place) {
    const made = document.createElement("li");
    made.id = `series-option-${place}`;
    made.dataset.place = place;
    made.setAttribute("role", "option");
    made.setAttribute("aria-selected", String(entry === this.picked));
    made.append(Object.assign(document.createElement("span"), { textContent: entry.id }));
    const state = entry.degraded ? "quarantined" : entry.default_origin === null ? "no forecast" : "";
    if (state) made.append(Object.assign(document.createElement("span"), { className: "badge small note", textContent: state }));
    return made;
  }

  note(text) {
    const made = Object.assign(document.createElement("li"), { className: "rest", textContent: text });
    made.setAttribute("role", "presentation");
    this.list.append(made);
  }

  activate(place) {
    this.active = this.found.length ? Math.min(Math.max(place, 0), this.found.length - 1) : -1;
    [...this.list.children].forEach((child, i) => child.classList.toggle("active", i === this.active));
    const child = this.active >= 0 ? this.list.children[this.active] : null;
    if (child) this.input.setAttribute("aria-activedescendant", child.id);
    else this.input.removeAttribute("aria-activedescendant");
    child?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
    if (by) {
      event.preventDefault();
      if (this.list.hidden) this.open(""); else this.activate(this.active + by);
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (!this.list.hidden && this.active >= 0) this.pick(this.found[this.active]);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.preventDefault();
      this.close();
    }
  }

  pick(entry) {
    this.show(entry);
    this.close();
    this.choose(entry);
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
    this.input.value = this.picked ? this.picked.id : "";
  }
}

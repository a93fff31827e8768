// Numbers, times and lengths of time in words.

export function number(value) {
  if (value == null) return "–";
  const size = Math.abs(value);
  const digits = size >= 1000 || size === 0 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export const share = value => value == null ? "–" : `${(100 * value).toFixed(1)} %`;

export function bytes(value) {
  return value >= 1e6 ? `${(value / 1e6).toFixed(1)} MB` : `${Math.max(1, Math.round(value / 1e3))} kB`;
}

const LENGTHS = [[604800, "week"], [86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];

// A length of time in the largest unit that it is a whole number of.
export function length(seconds) {
  const [size, unit] = LENGTHS.find(([size]) => seconds % size === 0);
  const count = seconds / size;
  return `${count.toLocaleString("en-US")} ${unit}${count === 1 ? "" : "s"}`;
}

export const every = seconds => length(seconds).replace(/^1 /, "");

export const seconds = text => text === null ? null : Date.parse(text) / 1000;
export const iso = at => new Date(1000 * at).toISOString().replace(".000Z", "Z");

// Local time of the series, by the offsets that the model learnt its calendar with: the browser's own zone is of no interest.
export function clock({ transitions, offsets_s }) {
  const offset = at => {
    let low = 0, high = transitions.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (transitions[middle] <= at) low = middle + 1; else high = middle;
    }
    return offsets_s[low] ?? 0;
  };
  const format = options => {
    const made = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hourCycle: "h23", ...options });
    return at => made.format(new Date(1000 * (at + offset(at))));
  };
  const zone = at => {
    const minutes = Math.round(offset(at) / 60), size = Math.abs(minutes);
    if (!minutes) return "UTC";
    return `UTC${minutes < 0 ? "−" : "+"}${Math.floor(size / 60)}${size % 60 ? `:${String(size % 60).padStart(2, "0")}` : ""}`;
  };
  return {
    offset, zone,
    hour: format({ hour: "2-digit", minute: "2-digit" }),
    day: format({ day: "numeric", month: "short" }),
    month: format({ month: "short", year: "numeric" }),
    date: format({ day: "numeric", month: "short", year: "numeric" }),
    short: format({ weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }),
    whole: format({ weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }),
    // As <input type=datetime-local> has it, and back.
    field: at => iso(at + offset(at)).slice(0, 16),
    fromField: text => {
      const local = Date.parse(`${text}Z`) / 1000, guess = local - offset(local);
      return local - offset(guess);
    },
    // A date whose parts in the browser's zone are those of local time; uPlot looks for round times with it.
    shifted: at => {
      const moment = new Date(1000 * (at + offset(at)));
      return new Date(moment.getTime() + 60000 * moment.getTimezoneOffset());
    },
  };
}

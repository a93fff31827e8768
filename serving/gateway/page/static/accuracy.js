// How good past forecasts were, over the steps whose actual value is known.

// rows: { actual, point, low, high } of each step, actual null where it is not known.
export function accuracy(rows) {
  const known = rows.filter(row => row.actual != null && row.point != null);
  if (!known.length) return null;
  const sum = of => known.reduce((total, row) => total + of(row), 0);
  const size = sum(row => Math.abs(row.actual));
  const error = sum(row => Math.abs(row.point - row.actual));
  const banded = known.filter(row => row.low != null);
  return {
    n: known.length,
    mae: error / known.length,
    wape: size > 0 ? error / size : null,
    bias: sum(row => row.point - row.actual) / known.length,
    coverage: banded.length ? banded.filter(row => row.low <= row.actual && row.actual <= row.high).length / banded.length : null,
  };
}

// Pairs of levels that enclose an interval around the median, the widest first.
export function intervals(levels) {
  const found = [];
  for (let i = 0, j = levels.length - 1; i < j; i++, j--) found.push({ low: levels[i], high: levels[j], share: levels[j] - levels[i] });
  return found;
}

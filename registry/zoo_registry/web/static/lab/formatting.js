// Numbers as people read them: `zoo_registry.model.formatting` for what the lab draws. Every function is pure and says its unit.

export const DASH = "\u2013";
export const MINUS = "\u2212";
const UNITS = ["B", "kB", "MB", "GB", "TB"];
const SHARES = ["top", "accuracy", "f1", "precision", "recall", "macro_recall", "worst_recall", "auc"];

/** Spell bytes in decimal units with three digits: 13900000 → `13.9 MB`. */
export function size(count) {
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  return unit === 0 ? `${value.toFixed(0)} B` : `${significant(value)} ${UNITS[unit]}`;
}

/** Spell a number with `digits` significant digits and never in scientific notation: 0.01234 → `0.0123`. */
export function significant(value, digits = 3) {
  if (value === 0 || !Number.isFinite(value)) return value === 0 ? "0" : DASH;
  const exponent = Number(value.toExponential(digits - 1).split("e")[1]);
  return value.toFixed(Math.max(0, digits - 1 - exponent));
}

/** Spell milliseconds without the unit: 3.5412 → `3.54`. */
export function milliseconds(value) {
  return significant(value);
}

/** Spell a ratio to a baseline with two decimals, three below a tenth: 0.4132 → `0.41`. */
export function ratio(value) {
  return value.toFixed(value < 0.1 ? 3 : 2);
}

/** Spell a share of one as a percentage: 0.4461 → `44.6 %`. */
export function percent(share, decimals = 1) {
  return `${(share * 100).toFixed(decimals)} %`;
}

/** Whether a metric is a share of one and reads better as a percentage, judged by its name. */
export function isShare(metric) {
  return SHARES.some((start) => metric.startsWith(start));
}

/** Spell the value of a metric: shares as percentages, anything else with four digits. */
export function metric(name, value) {
  return isShare(name) ? percent(value) : significant(value, 4);
}

/** Name a metric: `top1` → `top-1`. */
export function metricName(name) {
  return /^top\d+$/.test(name) ? `top-${name.slice(3)}` : name.replaceAll("_", " ");
}

/** Spell a duration roughly: 125 → `2 min`. */
export function about(seconds) {
  if (seconds < 50) return `${Math.max(5, Math.ceil(seconds / 5) * 5)} s`;
  return `${Math.max(1, Math.round(seconds / 60))} min`;
}

/** Spell two ends of an interval: `0.40 – 0.43`. */
export function span(low, high, spell) {
  return `${spell(low)} ${DASH} ${spell(high)}`;
}

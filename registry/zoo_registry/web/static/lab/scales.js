// Scales of a chart, as `zoo_registry.web.scales`: where a value lies and where the ticks go.

const LOG_SPAN = 12;

/** Choose a scale from [low, high] to [start, end] pixels that shows all `values`, by powers where they span a dozen times and `mayLog`. */
export function fit(values, start, end, mayLog = false) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (mayLog && low > 0 && high / low >= LOG_SPAN) return { low: low / 1.25, high: high * 1.25, start, end, log: true };
  const air = (high - low) * 0.08 || Math.abs(high) * 0.1 || 1;
  return { low: low >= 0 ? Math.max(0, low - air) : low - air, high: high + air, start, end, log: false };
}

/** Give the pixel of `value`, held within the scale. */
export function at(scale, value) {
  const held = Math.min(Math.max(value, scale.low), scale.high);
  const [low, high, v] = scale.log ? [scale.low, scale.high, held].map(Math.log) : [scale.low, scale.high, held];
  return scale.start + ((v - low) / (high - low)) * (scale.end - scale.start);
}

/** Choose round values, roughly `about` of them. */
export function ticks(scale, about) {
  return scale.log ? logTicks(scale.low, scale.high, about) : evenTicks(scale.low, scale.high, about);
}

function evenTicks(low, high, about) {
  const raw = (high - low) / Math.max(about, 1);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((size) => size >= raw * 0.999);
  const [first, last] = [Math.ceil(low / step - 1e-9), Math.floor(high / step + 1e-9)];
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => Number(((first + index) * step).toFixed(12)));
}

function logTicks(low, high, about) {
  const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
  let found = [];
  for (const factors of [[1, 2, 5], [1, 3], [1]]) {
    found = [];
    for (let decade = first; decade <= last; decade++) found.push(...factors.map((factor) => factor * 10 ** decade));
    found = found.filter((value) => low <= value && value <= high);
    if (found.length <= about + 2) break;
  }
  return found;
}

/** Spell a tick without trailing zeros: 0.50 → `0.5`, 2000 → `2,000`. */
export function tickText(value) {
  if (Math.abs(value) >= 1e6) return value.toPrecision(3);
  const [whole, part] = String(Number(value.toPrecision(6))).split(".");
  return whole.replace(/\B(?=(\d{3})+(?!\d))/g, ",") + (part ? `.${part}` : "");
}

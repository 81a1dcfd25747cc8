// What may be told apart, and what comes first: `zoo_registry.model.timing` and `ranking` in a browser's words. Pure.
//
// A timing is {ms, ratio, ci95: [low, high], aa, noisy, baseline}: milliseconds, the ratio to the float file with its interval, the control of
// its session, and which float file. Nothing is ranked by noise: what only a noisy session measured is faster than nothing.

import { noiseFloor } from "./protocol.js";

/** The timing of a row that was measured here; the float file's ratio to itself is 1, and its own the control. */
export function timingOf({ verdict, ratio, aa_ratio: aa, noisy, latency_ms: { median: ms } }, baseline) {
  const itself = verdict === "baseline";
  return { ms, ratio: itself ? 1 : ratio.value, ci95: itself ? [1, 1] : ratio.ci95, aa: aa.value, noisy, baseline };
}

/** How far from 1, as a factor, chance can take a ratio of this session. */
export function reachOf({ aa }) {
  return noiseFloor({ value: aa });
}

/** Milliseconds of the same session's float file times the ratio, with the interval as far as the control lets tell. */
export function placed(timing, floatMs) {
  const ms = floatMs === null ? timing.ms : floatMs * timing.ratio;
  const [share, wide] = [ms / timing.ratio, Math.sqrt(reachOf(timing))];
  return { ms, interval: [(timing.ci95[0] * share) / wide, timing.ci95[1] * share * wide] };
}

/** Whether the time of one lies below that of the other with its whole interval: by ratio where both are to one float file, else by time. */
export function surelyFaster(one, other) {
  if (one.noisy || other.noisy) return false;
  const reach = Math.max(reachOf(one), reachOf(other));
  if (one.baseline && one.baseline === other.baseline) return one.ci95[1] * reach < other.ci95[0];
  return ((one.ms * one.ci95[1]) / one.ratio) * reach < (other.ms * other.ci95[0]) / other.ratio;
}

/**
 * Say of each of [{timing, y, size}] where it stands: `front`: nothing as good is surely faster, and of those that cannot be told apart the
 * smallest; `band`: cannot be told from the front; `noisy`: not ranked; else `beaten`.
 */
export function marks(points) {
  const ranked = points.filter(({ timing }) => !timing.noisy);
  const front = new Set(frontOf(ranked));
  return points.map((point) => {
    if (point.timing.noisy) return "noisy";
    if (front.has(point)) return "front";
    return ranked.some((other) => other.y >= point.y && surelyFaster(other.timing, point.timing)) ? "beaten" : "band";
  });
}

function frontOf(ranked) {
  const front = [];
  for (const y of [...new Set(ranked.map((point) => point.y))].sort((a, b) => b - a)) {
    const able = ranked.filter((one) => one.y === y && front.every((other) => surelyFaster(one.timing, other.timing)));
    if (!able.length) continue;
    const equal = alikeFastest(able);
    const least = Math.min(...equal.map(({ size }) => size));
    front.push(...equal.filter(({ size }) => size === least));
  }
  return front;
}

/** Those that cannot be told from the fastest. */
function alikeFastest(points) {
  const byRatio = new Set(points.map(({ timing }) => timing.baseline)).size === 1 && points[0].timing.baseline;
  const cost = ({ timing }) => (byRatio ? timing.ratio : timing.ms);
  const leader = points.reduce((one, other) => (cost(other) < cost(one) ? other : one));
  return points.filter((other) => !surelyFaster(leader.timing, other.timing));
}

/** Choose the fastest of [{timing, size}]; of those that cannot be told from it, the smallest: {chosen, alike}, or null where all is noise. */
export function fastest(points) {
  const quiet = points.filter(({ timing }) => !timing.noisy);
  if (!quiet.length) return null;
  const equal = alikeFastest(quiet).sort((a, b) => a.size - b.size);
  return { chosen: equal[0], alike: equal.slice(1) };
}

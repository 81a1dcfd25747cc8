// How latency is measured, and what may be concluded from it: `zoo_builders.lab.protocol` in a browser's words, for the visitor's own lab.
//
// The same name means the same protocol: rounds of fresh instances, turns in random order, an A/A control, a bootstrap interval of the
// ratio. Equal times give equal statistics; only the drawn orders and resamples differ. Pure: no clock, no page. Times are seconds,
// rounds are arrays of arrays of seconds, a ratio is {value, ci95: [low, high]}.

import { below, shuffled, source } from "./random.js";

export const NAME = "interleaved/v2";
export const BLOCKS = 5;
export const RESAMPLES = 1000;

/** Percentile that stands for the runs nobody disturbed, and the ratio below which no two files are told apart. */
export const UNDISTURBED = 10;
export const LEAST_FLOOR = 1.02;

/** When a session is too noisy to be quoted without saying so; a browser does not tell load and steal. `hidden`: seconds. */
export const LIMITS = Object.freeze({ aa: 0.05, spread: 2.0, drift: 1.25, hidden: 0 });

/** Plan one round: `blocks` passes over all contenders, each in an order of its own, `runs` runs each in all: [{contender, count}]. */
export function turns(contenders, runs, seed, blocks = BLOCKS) {
  const next = source(`turns ${seed}`);
  const passes = Math.min(blocks, runs);
  const planned = [];
  for (let pass = 0; pass < passes; pass++) {
    const count = Math.floor(runs / passes) + (pass < runs % passes ? 1 : 0);
    for (const contender of shuffled(next, contenders)) planned.push({ contender, count });
  }
  return planned;
}

/** Order in which the contenders of a round load and warm up. */
export function loadingOrder(contenders, seed) {
  return shuffled(source(`load ${seed}`), contenders);
}

/** Whether warming up may end: the medians of the last two windows of runs differ by no more than `tolerance`. */
export function steady(times, window, tolerance = 0.05) {
  if (times.length < 2 * window) return false;
  const before = median(times.slice(-2 * window, -window));
  const now = median(times.slice(-window));
  return Math.abs(now - before) <= tolerance * before;
}

/** The middle value; the mean of the two middle ones where their number is even. */
export function median(values) {
  return middle(Float64Array.from(values).sort());
}

function middle(ordered) {
  const half = ordered.length >> 1;
  return ordered.length % 2 ? ordered[half] : (ordered[half - 1] + ordered[half]) / 2;
}

/** Percentile of sorted values, linear between neighbours, as numpy's. */
function percentile(ordered, percent) {
  const at = (percent / 100) * (ordered.length - 1);
  const low = Math.floor(at);
  const high = Math.min(low + 1, ordered.length - 1);
  return ordered[low] + (ordered[high] - ordered[low]) * (at - low);
}

/** Reduce all runs of all rounds to milliseconds: median, mean, percentiles, extremes, spread. */
export function summarize(rounds) {
  const times = Float64Array.from(rounds.flatMap((round) => [...round]), (seconds) => seconds * 1e3).sort();
  const mean = total(times) / times.length;
  const [p5, p95, p99] = [5, 95, 99].map((percent) => percentile(times, percent));
  const std = Math.sqrt(total(times.map((time) => (time - mean) ** 2)) / times.length);
  return { median: middle(times), mean, p5, p95, p99, min: times[0], max: times[times.length - 1], std };
}

function total(values) {
  return values.reduce((sum, value) => sum + value, 0);
}

/** Lower tenth of the candidate by that of the baseline, with a 95 % interval by bootstrap over rounds (the same for both), then runs. */
export function ratio(candidate, baseline, seed = 0) {
  if (candidate.length !== baseline.length || !candidate.length) throw new RangeError("a ratio needs as many rounds of both, at least one");
  const next = source(`ratio ${seed}`);
  const pairs = candidate.map((ours, index) => [Float64Array.from(ours), Float64Array.from(baseline[index])]);
  const value = lowerTenth(joined(pairs, 0)) / lowerTenth(joined(pairs, 1));
  const drawn = Float64Array.from({ length: RESAMPLES }, () => resampled(pairs, next)).sort();
  return { value, ci95: [Math.min(percentile(drawn, 2.5), value), Math.max(percentile(drawn, 97.5), value)] };
}

function lowerTenth(values) {
  return percentile(Float64Array.from(values).sort(), UNDISTURBED);
}

function joined(pairs, side) {
  return pairs.flatMap((pair) => [...pair[side]]);
}

function resampled(pairs, next) {
  const rounds = pairs.map(() => pairs[below(next, pairs.length)]);
  return redrawnTenth(rounds, 0, next) / redrawnTenth(rounds, 1, next);
}

function redrawnTenth(rounds, side, next) {
  const values = new Float64Array(rounds.reduce((count, pair) => count + pair[side].length, 0));
  let at = 0;
  for (const pair of rounds) {
    const from = pair[side];
    for (let i = 0; i < from.length; i++) values[at++] = from[below(next, from.length)];
  }
  return percentile(values.sort(), UNDISTURBED);
}

/** How far from 1, as a factor, chance can take a ratio: as far as two instances of one file were apart, at least `LEAST_FLOOR`. */
export function noiseFloor(control) {
  return Math.max(control.value, 1 / control.value, LEAST_FLOOR);
}

/** Say what a ratio means: a difference counts only when its whole interval lies beyond what the A/A control reached. */
export function verdict(found, control) {
  const reach = noiseFloor(control);
  if (found.ci95[1] < 1 / reach) return "faster";
  return found.ci95[0] > reach ? "slower" : "within noise";
}

/** List what made a session noisy, each with the value found and its limit. `session`: {candidate, baseline, hidden: seconds}. */
export function noise(session, control, limits = LIMITS) {
  const found = [];
  if (session.hidden > limits.hidden) found.push(`hidden: the page was out of sight for ${session.hidden.toFixed(1)} s`);
  if (Math.abs(Math.log(control.value)) > Math.log1p(limits.aa)) {
    found.push(`A/A off: the baseline against itself gave ${control.value.toFixed(3)} (limit 1 ± ${limits.aa})`);
  }
  const spread = summarize(session.candidate);
  if (spread.p95 > limits.spread * spread.median) {
    found.push(`wide spread: p95 is ${(spread.p95 / spread.median).toFixed(2)} times the median (limit ${limits.spread})`);
  }
  const medians = session.baseline.map(median);
  const [low, high] = [Math.min(...medians), Math.max(...medians)];
  if (high > limits.drift * low) found.push(`drift: the baseline's rounds differ by a factor of ${(high / low).toFixed(2)} (limit ${limits.drift})`);
  return found;
}

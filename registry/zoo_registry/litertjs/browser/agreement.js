// Whether two sets of outputs come from the same file: the twin of zoo_builders.tflite.agreement, which says why; a test holds one against the other.
//
//   objection(rule, found, wanted, examples) → why they do not agree, or ""
//
// `rule` is a record's golden.rule: {encoding, outputs: [{measure, offset, factor, resolution, typical, most}], exceptions}; `found` and `wanted` hold one
// array a port, all examples one behind the other, as stored.

const CROWD = 1024; // values of an output for one that is left out of an example's largest error
const TOLD = { values: "", "log-odds": " of log-odds", same: " of all values" };

/**
 * Say why outputs are not the golden ones.
 *
 * @param {object} rule
 * @param {ArrayLike<number>[]} found
 * @param {ArrayLike<number>[]} wanted
 * @param {number} examples
 * @returns {string} "" where they agree
 */
export function objection(rule, found, wanted, examples) {
  for (const [port, limits] of rule.outputs.entries()) {
    const why = ofPort(rule, limits, found[port], wanted[port], examples);
    if (why) return `output ${port} is not the golden one: ${why}`;
  }
  return "";
}

function ofPort({ encoding, exceptions }, limits, found, wanted, examples) {
  const errors = errorsOf(limits, found, wanted, examples), unit = TOLD[limits.measure];
  const worst = errors.indexOf(Math.max(...errors)), median = [...errors].sort((a, b) => a - b)[Math.floor(examples / 2)];
  const far = errors.filter((error) => error > limits.most).length;
  const turned = turnedIn(limits, found, wanted, examples).filter(Boolean).length;
  const where = `(golden example ${worst} by ${short(errors[worst])}; ${encoding} file)`;
  if (median > limits.typical)
    return `half of ${examples} golden examples are off by ${short(median)}${unit} or more, a good file by ${short(limits.typical)} at most ${where}`;
  if (far > exceptions)
    return `${far} of ${examples} golden examples are off by more than ${short(limits.most)}${unit}, of a good file at most ${exceptions} ${where}`;
  if (turned > exceptions)
    return `${turned} of ${examples} golden examples name another class although the golden one led by more than ${short(2 * limits.typical)}${unit}, `
      + `of a good file at most ${exceptions} ${where}`;
  return "";
}

/** Each example's error, in the measure. */
export function errorsOf(limits, found, wanted, examples) {
  const size = wanted.length / examples;
  return Array.from({ length: examples }, (_, example) => {
    if (!size) return 0;
    const off = Float64Array.from({ length: size }, (_, i) => apart(limits, real(limits, found[example * size + i]), real(limits, wanted[example * size + i])));
    if (limits.measure === "same") return off.filter((one) => one > 0).length / size;
    return off.sort()[size - 1 - Math.floor(size / CROWD)];
  });
}

/** Which examples name another class though the golden one clearly led. */
export function turnedIn(limits, found, wanted, examples) {
  const size = wanted.length / examples;
  return Array.from({ length: examples }, (_, example) => {
    if (limits.measure === "same" || size < 2) return false;
    const start = example * size, theirs = wanted.subarray(start, start + size), ours = found.subarray(start, start + size);
    const first = theirs.indexOf(most(theirs)), second = most(theirs.filter((_, i) => i !== first));
    const lead = apart(limits, real(limits, theirs[first]), real(limits, second));
    return ours[first] < most(ours) && lead > 2 * limits.typical;
  });
}

function most(values) {
  return values.reduce((highest, value) => Math.max(highest, value), -Infinity);
}

function real({ offset, factor }, stored) {
  return (stored - offset) * factor;
}

/** The least distance of two values that are known to ± resolution. Never NaN: of a probability at 0 or 1 one end is open, the other is not. */
function apart({ measure, resolution }, ours, theirs) {
  let low = Math.max(ours, theirs) - resolution, high = Math.min(ours, theirs) + resolution;
  if (measure === "log-odds") [low, high] = [logOdds(low), logOdds(high)];
  return low > high ? low - high : 0;
}

function logOdds(share) {
  const inside = Math.min(1, Math.max(0, share));
  return Math.log(inside) - Math.log1p(-inside);
}

function short(value) {
  return String(Number(value.toPrecision(3)));
}

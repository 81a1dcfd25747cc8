// One file in one WASM instance of its own. A classic worker: the glue code of LiteRT.js comes in by importScripts.
//
//   {id, do: "load", base, threads, bytes, golden, atol, rule}   → what loading took and gave
//   {id, do: "run", count}                                  → {seconds: […], batch}
//   {id, do: "memory"}                                      → {mb}
//
// LiteRT.js cannot reset what a file keeps from one inference to the next: such a file is compiled anew for each golden example.
//
// answered as {id, answer} or {id, error: {kind, message}}. Golden outputs are compared before anything is timed.
"use strict";

const LEAD_IN_RUNS = 2, LEAD_IN_MS = 1;
const CLOCK_STEPS = 100; // browsers round the clock: one timed run lasts at least this many of its steps, so that rounding is below 1 %
const MAX_BATCH = 4096;
const LAST_WORDS = 400;
const GLUE = "core/wasm/";
const CREATED = /Created TensorFlow Lite XNNPACK delegate/;
// Operators that keep something, by their number in the schema: those of zoo_builders.tflite.state (a test holds one against the other).
const KEEPING = new Set([16, 24, 27, 35, 44, 46, 52, 142, 143, 144, 146, 148, 149]);
const UNTAKEN = /Element type (\w+) is not supported/;

const MOST_SAID = 100;
const said = []; // what the runtime prints
let held = null;

class Refusal extends Error {
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

onmessage = async ({ data: order }) => {
  try {
    const answer = await { load, run, memory }[order.do](order);
    postMessage({ id: order.id, answer });
  } catch (error) {
    postMessage({ id: order.id, error: { kind: error.kind ?? "runtime", message: words(error) } });
  }
};

async function load({ base, threads, bytes, golden, atol, rule }) {
  refuseTypes(golden);
  const runtime = await start(base, threads);
  const began = performance.now();
  let { model, signature } = await compile(runtime, bytes, threads);
  const loaded = performance.now();
  refusePorts(signature, golden);
  const inputs = feed(runtime, signature, golden, 0), buffers = inputs.map((tensor) => tensor.liteRtTensorBuffer);
  const first = performance.now();
  for (const output of await signature.liteRtCompiledModel.run(signature.signatureIndex, buffers)) output.delete();
  const ended = performance.now();
  const anew = keeps(bytes), computed = golden.outputs.map(({ data }) => new data.constructor(data.length));
  for (let example = 0; example < golden.examples; example++) {
    if (anew) {
      model.delete();
      ({ model, signature } = await compile(runtime, bytes, threads));
    }
    await compute(runtime, signature, golden, example, computed);
  }
  await check(golden, computed, atol, rule);
  const { liteRtCompiledModel: compiled, signatureIndex: index } = signature;
  held = { wasm: runtime.wasm, compiled, index, buffers, inputs, step: clockStep(), batch: 1 };
  return { init_ms: loaded - began, first_ms: ended - first, fully: Boolean(model.isFullyAccelerated), ...coverage() };
}

function refuseTypes({ inputs, outputs }) {
  const other = [...inputs, ...outputs].find(({ dtype }) => !["float32", "int32", "uint8"].includes(dtype));
  if (other) throw new Refusal("interface", `LiteRT.js has no ${other.dtype} tensors at the interface`);
}

function hear(line) {
  said.push(line);
  if (said.length > MOST_SAID) said.shift();
}

async function start(base, threads) {
  // No GPU is wanted: without this, LiteRT.js would start one for nothing.
  if (navigator.gpu) Object.defineProperty(navigator, "gpu", { value: undefined });
  for (const level of ["log", "info", "warn", "error", "debug"]) console[level] = (...parts) => hear(parts.join(" "));
  self.Module = { locateFile: (name) => base + GLUE + name, mainScriptUrlOrBlob: `${base}${GLUE}litert_wasm_threaded_internal.js` };
  try {
    const library = await import(`${base}core/dist/index.js`);
    const litert = await library.loadLiteRt(base + GLUE, threads > 1 ? { threads: true } : {});
    return { library, litert, wasm: litert.liteRtWasm };
  } catch (error) {
    throw new Refusal("device", `LiteRT.js does not start: ${words(error)}`);
  }
}

async function compile({ library }, bytes, threads) {
  try {
    const model = await library.loadAndCompile(bytes, { accelerator: "wasm", cpuOptions: { numThreads: threads } });
    return { model, signature: Object.values(model.signatures)[0] };
  } catch (error) {
    const untaken = UNTAKEN.exec(error?.message ?? "");
    if (untaken) throw new Refusal("interface", `LiteRT.js has no ${untaken[1].toLowerCase()} tensors at the interface`);
    throw new Refusal("load", words(error));
  }
}

/** Whether an operator of the file keeps something from one inference to the next: read from its table of operator codes (flatbuffers, schema.fbs). */
function keeps(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const field = (table, place) => {
    const fields = table - view.getInt32(table, true);
    const offset = place < view.getUint16(fields, true) ? view.getUint16(fields + place, true) : 0;
    return offset && table + offset;
  };
  const follow = (at) => at + view.getUint32(at, true);
  const codes = field(follow(0), 6);
  if (!codes) return false;
  const start = follow(codes), count = view.getUint32(start, true);
  for (let i = 0; i < count; i++) {
    const code = follow(start + 4 + 4 * i), old = field(code, 4), now = field(code, 10);
    if (KEEPING.has(Math.max(old ? view.getInt8(old) : 0, now ? view.getInt32(now, true) : 0))) return true;
  }
  return false;
}

function refusePorts({ inputDetails, outputDetails }, { inputs, outputs, examples }) {
  if (inputs.length !== inputDetails.length || outputs.length !== outputDetails.length)
    throw new Refusal("wrong-output", `the file has ${inputDetails.length} inputs and ${outputDetails.length} outputs, its golden vectors ${inputs.length} and ${outputs.length}`);
  inputs.forEach((vector, port) => {
    const { dtype, shape } = inputDetails[port];
    if (dtype !== vector.dtype || vector.data.length / examples !== shape.reduce((all, size) => all * size, 1))
      throw new Refusal("wrong-output", `input ${port} is ${dtype} [${shape}], its golden vector ${vector.dtype} [${vector.shape.slice(1)}]`);
  });
}

/** Make the input tensors of one example. */
function feed({ library }, { inputDetails }, { inputs, examples }, example) {
  return inputs.map(({ data }, port) => {
    const size = data.length / examples;
    return new library.Tensor(data.slice(example * size, (example + 1) * size), [...inputDetails[port].shape]);
  });
}

/** See that it computes the golden outputs: by the rule, or, where an older program wrote none, no value off by more than `atol`. */
async function check(golden, found, atol, rule) {
  if (!rule) return golden.outputs.forEach((vector, port) => agree(found[port], vector, golden.examples, port, atol));
  const { objection } = await import("./agreement.js");
  const why = objection(rule, found, golden.outputs.map(({ data }) => data), golden.examples);
  if (why) throw new Refusal("wrong-output", why);
}

/** Compute one example and put its outputs where they belong. */
async function compute(runtime, signature, golden, example, found) {
  const inputs = feed(runtime, signature, golden, example), outputs = await signature.run(inputs);
  const values = outputs.map((tensor) => tensor.toTypedArray());
  for (const tensor of [...inputs, ...outputs]) tensor.delete();
  values.forEach((one, port) => {
    const size = found[port].length / golden.examples;
    if (one.length !== size) throw new Refusal("wrong-output", `output ${port} has ${one.length} values, its golden vector ${size}`);
    if (!one.every(Number.isFinite)) throw new Refusal("not-finite", `output ${port} holds NaN or infinity (example ${example})`);
    found[port].set(one, example * size);
  });
}

function agree(found, { data }, examples, port, atol) {
  const off = Float64Array.from(found, (value, i) => Math.abs(value - data[i]));
  const most = off.reduce((highest, one) => Math.max(highest, one), 0), example = Math.floor((off.indexOf(most) * examples) / off.length);
  if (!(most <= atol)) throw new Refusal("wrong-output", `output ${port} is off by ${most.toPrecision(3)}, allowed ${atol} (example ${example})`);
}

/** LiteRT.js says that it made the delegate, not which nodes it took nor in how many pieces: those are zeros, as in "not told". */
function coverage() {
  return { delegate: said.some((line) => CREATED.test(line)) ? "XNNPACK" : "none", nodes_delegated: 0, nodes_total: 0, partitions: 0 };
}

/** The smallest step of this clock, in ms. */
function clockStep() {
  let least = Infinity;
  for (let found = 0, last = performance.now(); found < 20; ) {
    const now = performance.now();
    if (now === last) continue;
    least = Math.min(least, now - last);
    [last, found] = [now, found + 1];
  }
  return least;
}

/** Time `count` inferences on the input that is set. A turn begins with a few that do not count: the caches are still those of whoever ran before. */
async function run({ count }) {
  if (!held) throw new Refusal("runtime", "run before load");
  await leadIn();
  const seconds = [];
  for (let i = 0; i < count; i++) seconds.push((await timed(held.batch)) / held.batch / 1e3);
  return { seconds, batch: held.batch };
}

/** Run a little, and see that a batch lasts long enough for the clock, at its fastest: a batch only ever grows. */
async function leadIn() {
  const ends = performance.now() + LEAD_IN_MS;
  for (let runs = 0; runs < LEAD_IN_RUNS || performance.now() < ends; runs++) await timed(1);
  while (held.batch < MAX_BATCH && (await fastest()) < CLOCK_STEPS * held.step) held.batch *= 2;
}

async function fastest() {
  let least = Infinity;
  for (let i = 0; i < 3; i++) least = Math.min(least, await timed(held.batch));
  return least;
}

async function timed(batch) {
  const { compiled, index, buffers } = held;
  const began = performance.now();
  let outputs = await compiled.run(index, buffers);
  for (let i = 1; i < batch; i++) {
    for (const output of outputs) output.delete();
    outputs = await compiled.run(index, buffers);
  }
  const ended = performance.now();
  for (const output of outputs) output.delete();
  return ended - began;
}

/** The whole WASM heap, in MB (2^20 bytes): the runtime's own, the file and what it computes in. It never shrinks. */
function memory() {
  if (!held) throw new Refusal("runtime", "memory before load");
  return { mb: held.wasm.HEAPU8.byteLength / 2 ** 20 };
}

function words(error) {
  const own = error instanceof Error ? error.message : String(error);
  const last = error instanceof Refusal ? "" : said.filter((line) => /^(ERROR|FATAL)|^Aborted/.test(line)).slice(-3).join("; ");
  return (own + (last && !own.includes(last) ? ` (${last})` : "")).replace(/\s+/g, " ").slice(0, LAST_WORDS);
}

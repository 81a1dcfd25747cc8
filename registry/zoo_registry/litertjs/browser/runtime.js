// LiteRT.js (XNNPACK in WebAssembly), a file at a time, each in an instance of its own. Rounds, order and statistics are the caller's.
//
//   const runtime = await open({base: "/litertjs/", threads: 1});
//   const contender = await runtime.prepare({bytes, golden, atol, rule, name});      golden: see golden.js
//   contender.ready.init_ms;  await contender.run(10);  await contender.memory();  contender.close();
//
// What goes wrong is a LabError {kind, message}: kinds as in errors.js.
import { LabError } from "./errors.js";

export { LabError } from "./errors.js";
export { readGolden } from "./golden.js";

const TIMEOUT_MS = 120_000;

/**
 * Reach the runtime.
 *
 * @param {object} how
 * @param {string} how.base address of the folder that holds LiteRT.js (`litertjs.json`, `core/`, `wasm-utils/`)
 * @param {number} [how.threads] more than one needs a cross-origin isolated page
 * @param {number} [how.timeout] milliseconds that any answer may take before the file is said to hang
 * @returns {Promise<Runtime>}
 * @throws {LabError} of kind "device": LiteRT.js is not there, or this page cannot do that
 */
export async function open({ base, threads = 1, timeout = TIMEOUT_MS }) {
  const folder = new URL(base.endsWith("/") ? base : `${base}/`, document.baseURI).href;
  if (threads > 1 && !crossOriginIsolated) throw new LabError("device", "threads need a cross-origin isolated page");
  if (threads > navigator.hardwareConcurrency) throw new LabError("device", `${threads} threads on ${navigator.hardwareConcurrency} cores`);
  const about = await fetch(`${folder}litertjs.json`).catch(() => null);
  if (!about?.ok) throw new LabError("device", `no LiteRT.js at ${folder}`);
  return new Runtime(folder, (await about.json()).version, threads, timeout);
}

class Runtime {
  constructor(base, version, threads, timeout) {
    Object.assign(this, { base, version, threads, timeout });
  }

  /** What computes here, with nothing in it that tells one person from another. */
  host() {
    const [browser, browser_version] = browserOf(navigator);
    return {
      arch: "wasm", browser, browser_version, os: navigator.userAgentData?.platform ?? osOf(navigator.userAgent),
      mobile: navigator.userAgentData?.mobile ?? /Mobi/.test(navigator.userAgent), cores: navigator.hardwareConcurrency,
      isolated: crossOriginIsolated, features: features(),
    };
  }

  /**
   * Load a file into a fresh instance, and see that it computes all golden outputs.
   *
   * @param {object} what
   * @param {Uint8Array} what.bytes the .tflite file
   * @param {object} what.golden as readGolden gives it
   * @param {number} what.atol how far an output may be off, where there is no rule
   * @param {object} [what.rule] when outputs agree: see agreement.js
   * @param {string} what.name for messages
   * @param {AbortSignal} [what.signal] ends the instance, whatever it does
   * @returns {Promise<Contender>}
   * @throws {LabError}
   */
  async prepare({ bytes, golden, atol, rule, name, signal }) {
    const contender = new Contender(name, this.timeout);
    signal?.addEventListener("abort", () => contender.close(), { once: true });
    try {
      contender.ready = await contender.ask("load", { base: this.base, threads: this.threads, bytes, golden, atol, rule });
      return contender;
    } catch (error) {
      contender.close();
      throw error;
    }
  }
}

class Contender {
  /** What loading took and gave: {init_ms, first_ms, delegate, nodes_delegated, nodes_total, partitions, fully}; zeros and "" where LiteRT.js does not tell. */
  ready = null;
  /** Inferences behind one number of `run`: more than one where the clock is too coarse for one. */
  batch = 1;
  #worker;
  #waiting = new Map();
  #asked = 0;
  #ended = null;

  constructor(name, timeout) {
    Object.assign(this, { name, timeout });
    this.#worker = new Worker(new URL("./worker.js", import.meta.url), { name: "lab" });
    this.#worker.onmessage = ({ data: { id, answer, error } }) => {
      const waiting = this.#waiting.get(id);
      if (error) waiting?.reject(new LabError(error.kind, `${name}: ${error.message}`));
      else waiting?.resolve(answer);
    };
    this.#worker.onerror = (event) => {
      event.preventDefault();
      this.#end("died", `the worker ended: ${event.message ?? "without a word"}`);
    };
  }

  /** Time `count` inferences; seconds each. A few more run first and do not count. */
  async run(count) {
    const { seconds, batch } = await this.ask("run", { count });
    this.batch = batch;
    return seconds;
  }

  /** Size of the WASM heap, in MB (2^20 bytes). */
  async memory() {
    return (await this.ask("memory")).mb;
  }

  /** End the worker, whatever it does. */
  close() {
    this.#end("died", "closed");
  }

  async ask(what, order = {}) {
    if (this.#ended) throw this.#ended;
    const id = ++this.#asked;
    const timer = setTimeout(() => this.#end("hang", `no answer within ${this.timeout / 1e3} s; the worker was ended`), this.timeout);
    try {
      return await new Promise((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#worker.postMessage({ id, do: what, ...order });
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  #end(kind, message) {
    this.#worker.terminate();
    this.#ended ??= new LabError(kind, `${this.name}: ${message}`);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
  }
}

/** Name and major version. */
function browserOf({ userAgentData, userAgent }) {
  const brands = userAgentData?.brands.filter(({ brand }) => !/not.?a.?brand/i.test(brand)) ?? [];
  const named = brands.find(({ brand }) => brand !== "Chromium") ?? brands[0];
  if (named) return [named.brand, named.version];
  const [, name, version] = /(Firefox|Edg|Chrome|HeadlessChrome)\/(\d+)/.exec(userAgent) ?? [];
  const safari = /Version\/(\d+).* Safari/.exec(userAgent);
  return name ? [name, version] : safari ? ["Safari", safari[1]] : ["unknown", ""];
}

function osOf(userAgent) {
  return ["Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux"].find((name) => userAgent.includes(name)) ?? "";
}

// A function of type () → () that uses one instruction of the proposal: what WebAssembly.validate takes, the browser has.
// Spelled out in https://webassembly.github.io/spec/core/binary/; i8x16.splat; i8x16.relaxed_swizzle; an atomic fence.
const HEAD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10];
const PROBES = {
  simd: [...HEAD, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11],
  relaxed_simd: [...HEAD, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11],
};

/** The processor behind the browser, told apart as XNNPACK does: on x86 the number that ∞ − ∞ gives has its sign bit set. */
function processor() {
  const number = new Float32Array([Infinity]);
  number[0] -= number[0];
  return new Uint8Array(number.buffer)[3] & 0x80 ? "x86" : "arm";
}

function features() {
  const found = [...Object.keys(PROBES).filter((name) => WebAssembly.validate(new Uint8Array(PROBES[name]))), processor()];
  return crossOriginIsolated && typeof SharedArrayBuffer !== "undefined" ? [...found, "threads"] : found;
}

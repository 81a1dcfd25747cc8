// A session in the visitor's lab: files interleaved with one float baseline, by the rules of protocol.js.
//
//   subjects, baseline, runtime ─► measure ─► one outcome a subject: numbers, or why there are none
//
// In a round run, each in an instance of its own: the baseline, the baseline once more (the A/A control), and the subjects. All instances
// end with the round, so memory is bounded by one round. A subject that fails leaves with its reason and the others go on; without a
// baseline nobody gets a number. A subject that is the baseline itself is measured by the control.

import { LabError } from "./errors.js";
import * as protocol from "./protocol.js";

export const ORDER = Object.freeze({ rounds: 5, runs: 50, warmup: 5, seed: 0 });
const LEAST_RUNS = 10; // of a round: with five rounds, fifty in all
const TURN_BUDGET_S = 1.5; // slow files run less often, so that a round of theirs stays about this long
const MAX_WARMUP_FACTOR = 40;
const LONGEST_WARMUP_S = 3;
const [BASELINE, CONTROL] = ["\0baseline", "\0control"]; // no file is called so

/**
 * Measure all subjects.
 *
 * @param {Subject[]} subjects each {id, name, load() → Promise<{bytes, golden, atol, rule}>}; ids are sha256 of the files
 * @param {Subject} baseline the float file
 * @param {object} runtime as runtime.js opens it
 * @param {object} [how] {order: see ORDER, signal: AbortSignal, progress({share, name, doing}), hidden() → seconds out of sight so far}
 * @returns {Promise<object[]>} in the order of the subjects: {id, measured} or {id, failure: {kind, message}}
 * @throws {DOMException} AbortError: it was cancelled; every instance is ended
 */
export async function measure(subjects, baseline, runtime, how = {}) {
  return new Session(subjects, baseline, runtime, how).run();
}

/** Split subjects into sessions of at most `most` each, so that a round's instances fit in memory; each has its own baseline and control. */
export function sessions(subjects, most) {
  const count = Math.ceil(subjects.length / most);
  const each = Math.ceil(subjects.length / Math.max(1, count));
  return Array.from({ length: count }, (_, index) => subjects.slice(index * each, (index + 1) * each));
}

class Session {
  constructor(subjects, baseline, runtime, { order = {}, signal = new AbortController().signal, progress = () => {}, hidden = () => 0 }) {
    Object.assign(this, { subjects, baseline, runtime, signal, progress, hidden, order: { ...ORDER, ...order } });
    this.runs = this.order.runs;
    this.failures = new Map();
    const rivals = subjects.filter(({ id }) => id !== baseline.id).map((subject) => [subject.id, subject]);
    this.contenders = new Map([[BASELINE, baseline], [CONTROL, baseline], ...rivals]);
    this.given = new Map([...this.contenders.keys()].map((id) => [id, { rounds: [], ready: [], memory: 0, batch: 1 }]));
    this.steps = 0;
  }

  async run() {
    const hiddenBefore = this.hidden();
    const files = await this.#download();
    for (let index = 0; index < this.order.rounds && !this.failures.has(BASELINE) && this.#alive().length > 0; index++) {
      await this.#round(files, `${this.order.seed}/${index}`);
    }
    this.#report(this.baseline.name, "adding up", this.order.rounds * this.#stepsOfRound());
    return this.subjects.map(({ id }) => this.#outcome(id, this.hidden() - hiddenBefore));
  }

  #alive() {
    return [...this.contenders.keys()].filter((id) => !this.failures.has(id));
  }

  async #download() {
    const files = new Map();
    for (const subject of new Set(this.contenders.values())) {
      this.#report(subject.name, "downloading");
      await this.#attempt(subject === this.baseline ? BASELINE : subject.id, async () => files.set(subject.id, await subject.load(this.signal)));
    }
    return files;
  }

  async #round(files, seed) {
    const running = new Map();
    try {
      for (const id of protocol.loadingOrder(this.#alive(), seed)) await this.#load(id, files, running);
      if (this.#first) this.runs = this.#affordable(running);
      for (const turn of protocol.turns([...running.keys()], this.runs, seed)) await this.#turn(turn, running);
      for (const [id, contender] of running) await this.#attempt(id, () => this.#remember(id, contender), running);
    } finally {
      for (const contender of running.values()) contender.close();
    }
  }

  get #first() {
    return this.given.get(BASELINE).rounds.every((round) => round.length === 0);
  }

  async #load(id, files, running) {
    const { id: file, name } = this.contenders.get(id);
    this.#report(name, id === CONTROL ? "loading once more, as a control" : "loading");
    await this.#attempt(id, async () => {
      const contender = await this.#unlessCancelled(this.runtime.prepare({ ...files.get(file), name, signal: this.signal }));
      running.set(id, contender);
      const mine = this.given.get(id);
      mine.warm = await this.#warmUp(contender);
      mine.ready.push(contender.ready);
      mine.rounds.push([]);
    }, running);
    this.steps += 1;
  }

  async #warmUp(contender) {
    const least = this.order.warmup;
    let times = [...(await this.#unlessCancelled(contender.run(least)))];
    let spent = sum(times) * contender.batch;
    while (times.length < MAX_WARMUP_FACTOR * least && spent < LONGEST_WARMUP_S && !protocol.steady(times, least)) {
      const more = await this.#unlessCancelled(contender.run(least));
      spent += sum(more) * contender.batch;
      times = [...times, ...more];
    }
    return protocol.median(times.slice(-least)) * contender.batch;
  }

  /** How many runs the slowest file allows in a round of bearable length; the same for all. */
  #affordable(running) {
    const slowest = Math.max(...[...running.keys()].map((id) => this.given.get(id).warm));
    return Math.max(Math.min(LEAST_RUNS, this.order.runs), Math.min(this.order.runs, Math.floor(TURN_BUDGET_S / slowest)));
  }

  async #turn({ contender: id, count }, running) {
    this.#report(this.contenders.get(id).name, "running");
    this.steps += 1;
    if (!running.has(id) || this.failures.has(BASELINE)) return;
    await this.#attempt(id, async () => this.given.get(id).rounds.at(-1).push(...(await this.#unlessCancelled(running.get(id).run(count)))), running);
  }

  async #remember(id, contender) {
    const mine = this.given.get(id);
    mine.memory = Math.max(mine.memory, await this.#unlessCancelled(contender.memory()));
    mine.batch = Math.max(mine.batch, contender.batch);
  }

  /** Do something for one contender; when it fails, it leaves the session with its reason. The control is the baseline's other half. */
  async #attempt(id, work, running = new Map()) {
    try {
      this.signal.throwIfAborted();
      await work();
    } catch (error) {
      if (this.signal.aborted) throw this.signal.reason;
      if (!(error instanceof LabError)) throw error;
      this.failures.set(id === CONTROL ? BASELINE : id, { kind: error.kind, message: error.message });
      running.get(id)?.close();
      running.delete(id);
    }
  }

  #unlessCancelled(promise) {
    const { signal } = this;
    return new Promise((resolve, reject) => {
      const cancel = () => reject(signal.reason);
      if (signal.aborted) cancel();
      signal.addEventListener("abort", cancel, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", cancel));
    });
  }

  #stepsOfRound() {
    return this.contenders.size * (1 + Math.min(protocol.BLOCKS, this.order.runs));
  }

  #report(name, doing, steps = this.steps) {
    this.progress({ share: Math.min(1, steps / (this.order.rounds * this.#stepsOfRound())), name, doing });
  }

  #outcome(id, hidden) {
    const lost = this.failures.get(BASELINE);
    const failure = lost && id !== this.baseline.id ? { kind: lost.kind, message: `the baseline does not run here: ${lost.message}` } : this.failures.get(id) ?? lost;
    return failure ? { id, failure } : { id, measured: this.#conclude(id, hidden) };
  }

  #conclude(id, hidden) {
    const itself = id === this.baseline.id;
    const [own, base, control] = [itself ? CONTROL : id, BASELINE, CONTROL].map((one) => this.given.get(one));
    const aa = protocol.ratio(control.rounds, base.rounds, this.order.seed);
    const found = itself ? aa : protocol.ratio(own.rounds, base.rounds, this.order.seed);
    const causes = protocol.noise({ candidate: own.rounds, baseline: base.rounds, hidden }, aa);
    const middle = (key) => protocol.median(own.ready.map((ready) => ready[key]));
    return {
      latency_ms: protocol.summarize(own.rounds), ratio: found, aa_ratio: aa, verdict: itself ? "baseline" : protocol.verdict(found, aa),
      noisy: causes.length > 0, noise_causes: causes, runs: this.runs, rounds: this.order.rounds, warmup: this.order.warmup,
      init_ms: middle("init_ms"), first_ms: middle("first_ms"), peak_memory_mb: own.memory, ready: own.ready[0], batch: own.batch,
    };
  }
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

// Why a file has no latency here: the same kinds as `MEASURE_FAILURES` of zoo_registry.model.errors, with the runtime's own words.
export const KINDS = Object.freeze(["load", "interface", "runtime", "wrong-output", "not-finite", "hang", "died", "device"]);

export class LabError extends Error {
  constructor(kind, message) {
    super(message);
    this.name = "LabError";
    this.kind = KINDS.includes(kind) ? kind : "runtime";
  }
}

// What a visitor's session says, in the words of a record's measurement (`zoo_registry.model.measurement`). Pure but for the clock given.

import { digestOf } from "./digest.js";
import * as protocol from "./protocol.js";

const COARSE = "coarse-clock"; // a page that is not isolated
const STEP_MS = { fine: 0.005, coarse: 0.1 }; // of a browser's clock: what took less took at most one
const WASM_CPU = "wasm-simd"; // as `structure.xnnpack.cpus` calls it

/** Name the place: the browser and its system, without versions, so that few places share many measurements: `web-wasm:chrome-android`. */
export function deviceName({ browser, os }) {
  const slug = (text) => text.toLowerCase().replace(/^google |^microsoft /, "").replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") || "unknown";
  return `web-wasm:${slug(browser)}-${slug(os)}`;
}

/** Describe the machine as a record does; all that a browser tells, and nothing that names a person. */
export async function hostOf({ arch, browser, browser_version: version, os, cores, features, isolated }) {
  const known = {
    cpu: `${browser} ${version}`.trim(), arch, cores, features: isolated ? features : [...features, COARSE],
    memory_gb: 0, os, governor: "", virtual: "browser",
  };
  return { ...known, fingerprint: await digestOf(known) };
}

/** The class of machine, as `zoo_registry.model.platform` derives it: what a browser tells, and no more. */
export function platformOf({ cpu, os, cores, features }) {
  const browser = cpu.replace(/\s*\d[\d.]*$/, "") || "unknown";
  const simd = features.includes("relaxed_simd") ? "relaxed-simd" : features.includes("simd") ? "simd" : "scalar";
  const behind = ["x86", "arm"].find((name) => features.includes(name));
  return {
    kind: "web-wasm", arch: "wasm", isa: behind ? `${simd}-${behind}` : simd,
    machine: os ? `${browser} on ${os}` : browser, cores, clock_ghz: 0,
  };
}

/** Say what is known of the sparse path here. Twins with dense weights are not published, so a visitor's session confirms nothing. */
export function sparsePath({ predicted_sparse: predicted, cpus, reason }) {
  if (!predicted || !cpus.includes(WASM_CPU)) return { sparse_path: "none", sparse_reason: reason };
  return { sparse_path: "predicted", sparse_reason: `${reason}; there is no dense twin to compare with` };
}

/**
 * Spell one outcome as the registry takes it.
 *
 * @param {object} measured as session.js gives it
 * @param {object} about {record, baseline: {name, sha256}, runtime, host, device, when: Date}
 */
export function measurement(measured, { record, baseline, runtime, host, device, when }) {
  const { ready, batch: _, init_ms: init, first_ms: first, ...numbers } = measured;
  const step = host.features.includes(COARSE) ? STEP_MS.coarse : STEP_MS.fine;
  return {
    file_sha256: record.file.sha256, device, runtime: "litert.js", runtime_version: runtime.version,
    delegate: ready.delegate || "unknown", nodes_delegated: ready.nodes_delegated, nodes_total: ready.nodes_total, partitions: ready.partitions,
    threads: runtime.threads, pinned: false, init_ms: Math.max(init, step), first_ms: Math.max(first, step), ...numbers, baseline, ...sparsePath(record.structure.xnnpack), output_check: "passed",
    platform: platformOf(host), host, protocol: protocol.NAME, when: when.toISOString(),
  };
}

// The visitor's lab on an artifact's and on the compare page: choose, measure, show. Nothing is sent before "Submit" is pressed.

import { copyButton, make, the } from "./dom.js";
import { LabError } from "./errors.js";
import { obstacle, record, subject } from "./files.js";
import { deviceName, hostOf, measurement, sparsePath } from "./measurement.js";
import { results } from "./results.js";
import { open } from "./runtime.js";
import { ORDER, measure, sessions } from "./session.js";
import { submission } from "./submit.js";
import * as formatting from "./formatting.js";

const SPEAK_EVERY_MS = 5000;
const [INSTANCE, SMALL_ROOM, ROOM] = [48e6, 400e6, 1200e6]; // bytes: of a WASM instance without its file, of a phone's, of a computer's lab
const MOST_AT_ONCE = 8;
const [LOAD_S, MOST_S, MACS_PER_S] = [0.5, 3, 2e9]; // of a file in a round, for the estimate only
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

const data = JSON.parse(the("lab-data").dataset.lab);
const boxes = new Map();
let hiddenFor = 0;
let hiddenSince = null;

start();

function start() {
  the("lab").hidden = false;
  document.querySelectorAll("[data-lab-link]").forEach((link) => { link.hidden = false; });
  const lacking = lacks();
  if (lacking) {
    the("lab-run").hidden = the("lab-choice").hidden = true;
    the("lab-cost").textContent = lacking;
    return;
  }
  the("lab-files").append(...data.entries.map(choice));
  offerThreads();
  tell();
  the("lab-run").addEventListener("click", run);
  the("lab-rounds").addEventListener("change", tell);
  document.addEventListener("visibilitychange", watch);
}

function lacks() {
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(new Uint8Array(SIMD))) return "This browser has no WebAssembly SIMD, which the runtime needs: a newer one can measure here.";
  return unpacks() ? "" : "This browser cannot unpack golden vectors (deflate-raw): a newer one can measure here.";
}

function unpacks() {
  try {
    return Boolean(new DecompressionStream("deflate-raw"));
  } catch {
    return false; // there is none, or it knows other formats only
  }
}

/** One file to tick. The float baseline takes part as soon as a file of its model does. */
function choice(entry) {
  const box = make("input", { type: "checkbox", checked: entry.ticked ? true : null, onchange: tell });
  boxes.set(entry.sha256, box);
  return make("label", { class: "check" }, box, ` ${entry.name} `, make("small", {}, `${entry.version}, ${formatting.size(entry.size)}${entry.float ? ", baseline" : ""}`));
}

function offerThreads() {
  const most = Math.min(4, navigator.hardwareConcurrency ?? 1);
  if (!crossOriginIsolated || most < 2) return;
  for (const count of [1, 2, 4].filter((n) => n <= most)) the("lab-threads").append(make("option", { value: count }, String(count)));
  the("lab-threads-field").hidden = false;
}

/** What one run may take here: by the published latency where that was measured in a browser, else by its work and published ratio. */
function runSeconds({ macs, published }) {
  return data.device.startsWith("web-wasm") && published ? published.median_ms / 1e3 : ((published?.ratio ?? 1) * macs) / MACS_PER_S;
}

function rounds() {
  return Number(the("lab-rounds").value);
}

/** Releases to measure by model, each with its baseline: the float release, or the first where none is published. */
function plan() {
  const ticked = data.entries.filter(({ sha256 }) => boxes.get(sha256).checked);
  return [...new Set(ticked.map(({ model }) => model))].map((model) => {
    const chosen = ticked.filter((entry) => entry.model === model);
    const baseline = data.entries.find((entry) => entry.model === model && entry.float) ?? chosen[0];
    return { baseline, entries: [baseline, ...chosen.filter((entry) => entry !== baseline)] };
  });
}

function tell() {
  const planned = plan();
  const entries = planned.flatMap((part) => part.entries);
  const bytes = entries.reduce((all, { size }) => all + size, data.runtime.bytes);
  const seconds = (entry) => LOAD_S + Math.min(MOST_S, (ORDER.runs + 2 * ORDER.warmup) * runSeconds(entry));
  const total = planned.reduce((all, part) => all + [part.baseline, ...part.entries].reduce((sum, entry) => sum + seconds(entry), 0) * rounds(), 0);
  the("lab-run").disabled = entries.length === 0;
  const count = `${entries.length} file${entries.length > 1 ? "s" : ""}`;
  the("lab-cost").textContent = entries.length ? `${count}: downloads up to ${formatting.size(bytes)}, takes about ${formatting.about(total)}` : "Choose a file below.";
}

async function run() {
  const control = new AbortController();
  const cancel = () => control.abort();
  the("lab-cancel").addEventListener("click", cancel);
  show({ running: true });
  const lock = await navigator.wakeLock?.request("screen").catch(() => null);
  try {
    await session(control.signal);
  } catch (error) {
    if (control.signal.aborted) say((the("lab-cost").textContent = "Cancelled; nothing was kept."));
    else problem(error);
  } finally {
    the("lab-cancel").removeEventListener("click", cancel);
    lock?.release();
    show({ running: false });
  }
}

function show({ running }) {
  const focused = document.activeElement;
  the("lab-run").hidden = running;
  the("lab-cancel").hidden = the("lab-progress").hidden = !running;
  the("lab-choice").hidden = running;
  if (running) the("lab-problem").hidden = true;
  if (focused === the("lab-run") || focused === the("lab-cancel")) (running ? the("lab-cancel") : the("lab-run")).focus();
}

async function session(signal) {
  the("lab-results").hidden = true;
  report(0, "starting the runtime");
  say("Measuring has begun.");
  const runtime = await open({ base: data.runtime.base, threads: Number(the("lab-threads").value || 1) });
  const [browser, planned] = [runtime.host(), plan()];
  const context = { runtime, host: await hostOf(browser), device: deviceName(browser), when: new Date(), rounds: rounds() };
  const parts = await Promise.all(planned.map((part) => known(part, signal)));
  const each = parts.flatMap((part) => sessions(part.subjects, atOnce(part, browser)).map((subjects) => ({ ...part, subjects })));
  const outcomes = new Map(parts.flatMap((part) => part.refused));
  for (const [index, { subjects, baseline }] of each.entries()) {
    const progress = ({ share, name, doing }) => report((index + share) / each.length, `${name}: ${doing}`);
    const order = { seed: baseline.id.slice(0, 8), rounds: context.rounds };
    for (const outcome of await measure(subjects, baseline, runtime, { order, signal, progress, hidden: outOfSight })) {
      if (!outcomes.get(outcome.id)?.measured) outcomes.set(outcome.id, outcome);
    }
  }
  finish(parts, outcomes, context);
}

/** Load the records of one model's releases, and set aside what cannot run. */
async function known({ baseline, entries }, signal) {
  const records = await Promise.all(entries.map((entry) => record(entry, signal)));
  const able = entries.map((entry, i) => ({ entry, record: records[i], failure: obstacle(records[i]) }));
  return {
    able, baseline: subject(baseline, able[0].record), entry: baseline,
    subjects: able.filter(({ failure }) => !failure).map(({ entry, record }) => subject(entry, record)),
    refused: able.filter(({ failure }) => failure).map(({ entry, failure }) => [entry.sha256, { id: entry.sha256, failure }]),
  };
}

/** How many files beside baseline and control fit into this machine at a time. */
function atOnce({ able }, { mobile }) {
  const room = mobile || navigator.deviceMemory <= 4 ? SMALL_ROOM : ROOM;
  const largest = Math.max(...able.map(({ entry }) => entry.size));
  return Math.max(1, Math.min(MOST_AT_ONCE, Math.floor(room / (INSTANCE + 3 * largest)) - 2));
}

function finish(parts, outcomes, context) {
  const rows = parts.flatMap((part) => part.able.map(({ entry, record }) => row(entry, record, part, outcomes.get(entry.sha256), context)));
  const valid = rows.filter((one) => one.measurement && one.toFloat && context.rounds >= ORDER.rounds);
  const all = () => JSON.stringify(rows.map(({ entry, measurement: found, failure }) => ({ name: entry.name, version: entry.version, ...(found ?? { failure }) })), null, 1);
  const measured = rows.filter((one) => one.measured).length;
  const offer = submission(valid, data.needs_token);
  const title = make("h3", { tabindex: -1 }, `${measured} of ${rows.length} measured here`, " ", make("small", {}, `${context.host.cpu}, ${context.host.os}, LiteRT.js ${context.runtime.version}, ${conditions(rows, context)}`));
  the("lab-results").replaceChildren(
    title, ...results(data, rows), make("p", { class: "actions" }, copyButton("Copy all as JSON", all) ?? ""), offer ?? (measured ? unsent() : ""),
  );
  the("lab-results").hidden = false;
  title.focus();
  say(`Done: ${measured} of ${rows.length} files measured.`);
}

function unsent() {
  return make("p", { class: "about" }, `To be submitted, a session takes ${ORDER.rounds} rounds and the model's float release.`);
}

function row(entry, record, part, { measured, failure }, context) {
  if (failure) return { entry, failure };
  const baseline = { name: part.entry.variant, sha256: part.entry.sha256 };
  return { entry, measured, sparse: sparsePath(record.structure.xnnpack), toFloat: part.entry.float, measurement: measurement(measured, { ...context, record, baseline }) };
}

function conditions(rows, { runtime, rounds: count }) {
  const runs = rows.filter(({ measured }) => measured).map(({ measured }) => measured.runs);
  const clock = crossOriginIsolated ? "" : ", coarse clock";
  return `${runtime.threads} thread${runtime.threads > 1 ? "s" : ""}, ${count} rounds of ${Math.min(...runs, ORDER.runs)} runs${clock}`;
}

let [spoken, begun] = [0, 0];

function report(share, text) {
  if (share === 0) begun = performance.now();
  const left = share > 0.1 && share < 1 ? `, about ${formatting.about(((performance.now() - begun) / 1e3) * (1 / share - 1))} left` : "";
  the("lab-bar").value = share;
  the("lab-doing").textContent = `${Math.round(share * 100)} %${left} · ${text}`;
  if (performance.now() - spoken > SPEAK_EVERY_MS) say(`${Math.round(share * 100)} percent`);
}

function say(text) {
  spoken = performance.now();
  the("lab-status").textContent = text;
}

function problem(error) {
  const text = error instanceof LabError || error instanceof TypeError ? error.message : `The lab itself failed: ${error.message ?? error}`;
  the("lab-problem").textContent = `Nothing could be measured. ${text}`;
  the("lab-problem").hidden = false;
  if (!(error instanceof LabError)) console.error(error);
}

function watch() {
  if (document.hidden) hiddenSince = performance.now();
  else if (hiddenSince !== null) [hiddenFor, hiddenSince] = [hiddenFor + performance.now() - hiddenSince, null];
}

function outOfSight() {
  return (hiddenFor + (hiddenSince === null ? 0 : performance.now() - hiddenSince)) / 1e3;
}

// What a session found, as the page shows it: a table, two fronts, and what to do next. It draws and decides nothing about numbers.

import { scatter } from "./chart.js";
import { copyButton, make } from "./dom.js";
import * as formatting from "./formatting.js";
import { fastest, marks, placed, timingOf } from "./ranking.js";

const TONES = { faster: "good", slower: "bad" };
const NEAR = 0.01; // of a share: files this close to float's accuracy compete for the fastest

/**
 * Draw everything.
 *
 * @param {object} data as the page holds it: metric, metric_name, device
 * @param {object[]} rows each {entry, measured, sparse} or {entry, failure}
 */
export function results(data, rows) {
  return [table(data, rows), sparse(rows), noise(rows), best(data, rows), fronts(data, rows)].filter(Boolean);
}

function table(data, rows) {
  const heads = ["Artifact", formatting.metricName(data.metric), "Latency", "p5 – p95", "Ratio", "Published", "Verdict"];
  const notes = ["", "", "median ms, here", "ms", "to float here, 95 % interval", data.machine ? `ratio, ${data.machine}` : "ratio", ""];
  const cells = heads.map((head, i) => {
    const note = notes[i] ? make("small", {}, notes[i]) : null;
    return make("th", { role: "columnheader", scope: "col", class: [1, 2, 3].includes(i) ? "num" : null }, head, note && " ", note);
  });
  return make(
    "table", { class: "results lab", role: "table", "aria-label": "Measured in this browser" },
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, ...cells)),
    make("tbody", { role: "rowgroup" }, ...rows.map((row) => line(data, row))),
  );
}

function line(data, { entry, measured, sparse, failure }) {
  const name = make("th", { role: "rowheader", scope: "row", class: "name" }, make("a", { href: entry.href }, entry.name), " ", make("small", {}, entry.version));
  if (failure) return make("tr", { role: "row", class: "failed" }, name, refusal(failure));
  const { latency_ms: ms, ratio: found } = measured;
  const itself = measured.verdict === "baseline"; // no ratio to itself: what it has is the control
  const interval = itself ? `A/A ${formatting.ratio(measured.aa_ratio.value)}` : formatting.span(found.ci95[0], found.ci95[1], formatting.ratio);
  const [quality, published] = [entry.metric === null ? formatting.DASH : formatting.metric(data.metric, entry.metric), entry.published];
  return make(
    "tr", { role: "row" }, name,
    cell(formatting.metricName(data.metric), "num", quality),
    cell("Latency, ms", "num", formatting.milliseconds(ms.median)),
    cell("p5 – p95, ms", "num", formatting.span(ms.p5, ms.p95, formatting.milliseconds)),
    cell("Ratio", null, make(measured.noisy || itself ? "span" : "strong", {}, itself ? "float" : formatting.ratio(found.value)), " ", make("small", {}, interval)),
    cell("Published ratio", null, published ? (published.verdict === "baseline" ? "float" : formatting.ratio(published.ratio)) : formatting.DASH),
    cell("Verdict", null, ...badges(measured, sparse)),
  );
}

function cell(label, kind, ...content) {
  return make("td", { role: "cell", "data-label": label, class: kind }, ...content);
}

function refusal({ kind, message }) {
  const hint = kind === "interface" ? [make("br"), make("small", {}, "Quantized with "), make("code", {}, "interface: float"), make("small", {}, ", it would.")] : [];
  return make("td", { role: "cell", colspan: 6, "data-label": "Verdict" }, make("span", { class: "badge bad" }, "not runnable in this browser"), ` ${message}`, ...hint);
}

function badges({ verdict, noisy, noise_causes: causes }, sparse) {
  const found = [make("span", { class: `badge ${TONES[verdict] ?? "even"}` }, verdict)];
  if (noisy) found.push(" ", make("span", { class: "badge warn", title: causes.join("; ") }, "noisy"));
  if (sparse.sparse_path !== "none") found.push(" ", make("span", { class: "badge even", title: sparse.sparse_reason }, `sparse path ${sparse.sparse_path}`));
  return found;
}

function sparse(rows) {
  if (!rows.some((row) => row.sparse?.sparse_path === "predicted")) return null;
  return make("p", { class: "about" }, "Sparse path predicted: from the file's structure. Confirming it takes the same graph with dense weights, which is not published.");
}

function noise(rows) {
  const noisy = rows.filter(({ measured }) => measured?.noisy);
  if (!noisy.length) return null;
  const causes = noisy.map(({ entry, measured }) => make("li", {}, `${entry.name}: ${measured.noise_causes.join("; ")}`));
  const title = make("summary", {}, `Noisy: ${noisy.length} of ${rows.length}, and what was off`);
  return make("details", { class: "fold" }, title, make("ul", { class: "misses" }, ...causes), make("p", { class: "about" }, "Close other tabs and programs, plug the device in, and measure again."));
}

/**
 * Choose the fastest of those about as accurate as float, and say by which rule; null when nothing ran. Where all is noise, `row` is null:
 * then nothing was found out, and `float` is what needs no measurement.
 */
export function choose(data, rows) {
  const usable = rows.filter(({ measured }) => measured);
  if (!usable.length) return null;
  const float = Math.max(...usable.filter(({ entry }) => entry.float && entry.metric !== null).map(({ entry }) => entry.metric));
  const judged = Number.isFinite(float) && formatting.isShare(data.metric);
  const close = judged ? usable.filter(({ entry }) => entry.metric !== null && entry.metric >= float - NEAR) : usable;
  const found = fastest(close.map((row) => ({ row, timing: timingHere(row), size: row.entry.size })));
  if (!found) return { row: null, float: usable.find(({ entry }) => entry.float) ?? null };
  const why = judged ? `the fastest within ${NEAR * 100} point of float's ${data.metric_name}` : "the fastest";
  return { row: found.chosen.row, alike: found.alike.map(({ row }) => row.entry.name), why };
}

function timingHere({ entry, measured, measurement }) {
  return timingOf(measured, measurement?.baseline.sha256 ?? entry.model);
}

function best(data, rows) {
  const found = choose(data, rows);
  if (!found) return null;
  if (!found.row) return nothingFound(found.float);
  const { entry, measured } = found.row;
  const told = measured.verdict === "baseline" ? "" : `, ${formatting.ratio(measured.ratio.value)} of float's time${measured.verdict === "within noise" ? ", a difference within noise" : ""}`;
  const alike = found.alike.length ? ` It cannot be told from ${found.alike.join(", ")} by its time; it is the smallest of them.` : "";
  return panel("Best in this browser", [make("a", { href: entry.href }, entry.name), `: ${found.why}${told}.${alike}`], entry);
}

function nothingFound(float) {
  const text = "Every session was noisy, and noise ranks nothing. Measure again on a quieter machine.";
  return panel("No best in this browser yet", [text, float ? " Until then, the float file:" : ""], float?.entry);
}

function panel(title, text, entry) {
  const parts = [make("h3", {}, title), make("p", {}, ...text)];
  if (entry) {
    parts.push(make("div", { class: "command line" }, make("pre", { tabindex: 0, "aria-label": "Pull it" }, make("code", {}, entry.pull))));
    parts.push(make("p", { class: "actions" }, copyButton("Copy the command", () => entry.pull)));
  }
  return make("div", { class: "panel best-here" }, ...parts);
}

function fronts(data, rows) {
  const ours = rows.filter(({ entry, measured }) => measured && entry.metric !== null);
  if (!ours.length) return null;
  const theirs = ours.filter(({ entry }) => entry.published);
  const chosen = choose(data, rows)?.row?.entry;
  const alone = new Set(ours.map(({ entry }) => entry.model)).size === 1;
  const mine = marked(ours.map((row) => place(data, row.entry, timingHere(row), floatHere(row, rows), alone)), chosen);
  const published = marked(theirs.map(({ entry }) => place(data, entry, publishedTiming(entry), null, alone)), null);
  const also = [...mine, ...published].flatMap((dot) => [dot.y, ...(dot.bar ?? [])]);
  const figures = [figure(data, "Here", "this browser", mine, also, "lab-here")];
  if (published.length) figures.push(figure(data, "Published", data.device, published, also, "lab-published"));
  return make("div", { class: "split fronts" }, ...figures);
}

/** Median of the float file that ran in turns with a row, where it was quiet. */
function floatHere({ entry }, rows) {
  const float = rows.find(({ entry: one, measured }) => one.model === entry.model && measured?.verdict === "baseline");
  return float && !float.measured.noisy ? float.measured.latency_ms.median : null;
}

function publishedTiming({ published, model }) {
  const { median_ms: ms, ratio, ci95, aa = 1, noisy = false } = published;
  return { ms, ratio, ci95, aa, noisy, baseline: model };
}

function place(data, entry, timing, floatMs, alone) {
  const { ms, interval } = placed(timing, floatMs);
  const note = `${entry.name} ${entry.version}: ${formatting.metric(data.metric, entry.metric)}, ${formatting.milliseconds(ms)} ms`;
  const about = { label: alone ? entry.variant : entry.name, note, href: entry.href, sha256: entry.sha256, size: entry.size };
  return { ...about, x: ms, y: entry.metric, bar: entry.ci95, across: interval, timing: { ...timing, ms } };
}

function marked(dots, chosen) {
  const found = marks(dots);
  return dots.map((dot, i) => ({ ...dot, kind: chosen?.sha256 === dot.sha256 ? "chosen" : found[i], leads: found[i] === "front" }));
}

function figure(data, title, where, dots, also, ident) {
  const share = formatting.isShare(data.metric);
  const y = { title: formatting.metricName(data.metric) + (share ? ", %" : ""), factor: share ? 100 : 1, also };
  const width = matchMedia("(max-width: 720px)").matches ? 340 : 420;
  const chart = scatter(dots, { title: `median latency, ${where}, ms`, mayLog: true }, y, { width, height: 300, ident });
  return make("figure", { class: "panel chart" }, make("figcaption", {}, title, make("small", {}, "band: nothing as good is surely faster; hollow: noisy, not ranked")), chart);
}

// What a session found, as the page shows it: a table, two fronts, and what to do next. It draws and decides nothing about numbers.

import { onFront, scatter } from "./chart.js";
import { copyButton, make } from "./dom.js";
import * as formatting from "./formatting.js";

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
  const interval = formatting.span(found.ci95[0], found.ci95[1], formatting.ratio);
  const [quality, published] = [entry.metric === null ? formatting.DASH : formatting.metric(data.metric, entry.metric), entry.published];
  return make(
    "tr", { role: "row" }, name,
    cell(formatting.metricName(data.metric), "num", quality),
    cell("Latency, ms", "num", formatting.milliseconds(ms.median)),
    cell("p5 – p95, ms", "num", formatting.span(ms.p5, ms.p95, formatting.milliseconds)),
    cell("Ratio", null, make("strong", {}, formatting.ratio(found.value)), " ", make("small", {}, interval)),
    cell("Published ratio", null, published ? formatting.ratio(published.ratio) : formatting.DASH),
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

/** Choose the fastest of those about as accurate as float, and say by which rule; null when nothing ran. */
export function choose(data, rows) {
  const usable = rows.filter(({ measured }) => measured);
  const float = Math.max(...usable.filter(({ entry }) => entry.float && entry.metric !== null).map(({ entry }) => entry.metric));
  const judged = Number.isFinite(float) && formatting.isShare(data.metric);
  const close = judged ? usable.filter(({ entry }) => entry.metric !== null && entry.metric >= float - NEAR) : usable;
  // Files of one model are held against one baseline: their ratios compare, also where something disturbed the medians.
  const alone = new Set(close.map(({ entry }) => entry.model)).size === 1;
  const toFloat = ({ measured: { verdict, ratio } }) => (verdict === "baseline" ? 1 : ratio.value); // the baseline's own is the control's
  const cost = (row) => (alone ? toFloat(row) : row.measured.latency_ms.median);
  const chosen = close.reduce((one, other) => (one && cost(one) <= cost(other) ? one : other), null);
  return chosen && { row: chosen, why: judged ? `the fastest within ${NEAR * 100} point of float's ${data.metric_name}` : "the fastest" };
}

function best(data, rows) {
  const found = choose(data, rows);
  if (!found) return null;
  const { entry, measured } = found.row;
  const command = make("div", { class: "command line" }, make("pre", { tabindex: 0, "aria-label": "Pull the best for this browser" }, make("code", {}, entry.pull)));
  const sure = measured.verdict === "within noise" ? ", a difference within noise" : "";
  const told = measured.verdict === "baseline" ? "" : `, ${formatting.ratio(measured.ratio.value)} of float's time${sure}`;
  return make(
    "div", { class: "panel best-here" },
    make("h3", {}, "Best in this browser"),
    make("p", {}, make("a", { href: entry.href }, entry.name), `: ${found.why}${told}.`),
    command, make("p", { class: "actions" }, copyButton("Copy the command", () => entry.pull)),
  );
}

function fronts(data, rows) {
  const ours = rows.filter(({ entry, measured }) => measured && entry.metric !== null);
  if (!ours.length) return null;
  const theirs = ours.filter(({ entry }) => entry.published);
  const chosen = choose(data, rows)?.row.entry;
  const alone = new Set(ours.map(({ entry }) => entry.model)).size === 1;
  const mine = ours.map(({ entry, measured }) => place(data, entry, measured.latency_ms.median, alone));
  const published = theirs.map(({ entry }) => place(data, entry, entry.published.median_ms, alone));
  const also = [...mine, ...published].flatMap((dot) => [dot.y, ...(dot.bar ?? [])]);
  const figures = [figure(data, "Here", "this browser", marked(mine, chosen), also, "lab-here")];
  if (published.length) figures.push(figure(data, "Published", data.machine, marked(published, null), also, "lab-published"));
  return make("div", { class: "split fronts" }, ...figures);
}

function place(data, entry, x, alone) {
  const note = `${entry.name} ${entry.version}: ${formatting.metric(data.metric, entry.metric)}, ${formatting.milliseconds(x)} ms`;
  return { x, y: entry.metric, label: alone ? entry.variant : entry.name, note, href: entry.href, bar: entry.ci95, sha256: entry.sha256 };
}

function marked(dots, chosen) {
  const front = onFront(dots);
  return dots.map((dot, i) => ({ ...dot, kind: chosen?.sha256 === dot.sha256 ? "chosen" : front[i] ? "front" : "beaten" }));
}

function figure(data, title, where, dots, also, ident) {
  const share = formatting.isShare(data.metric);
  const y = { title: formatting.metricName(data.metric) + (share ? ", %" : ""), factor: share ? 100 : 1, also };
  const width = matchMedia("(max-width: 720px)").matches ? 340 : 420;
  const chart = scatter(dots, { title: `median latency, ${where}, ms`, mayLog: true }, y, { width, height: 300, ident });
  return make("figure", { class: "panel chart" }, make("figcaption", {}, title, make("small", {}, "stair line: nothing is both faster and better")), chart);
}

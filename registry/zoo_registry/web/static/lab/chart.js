// Accuracy over latency as SVG, in the grammar of `zoo_registry.web.charts`: equal points give an equal drawing.

import { at, fit, ticks, tickText } from "./scales.js";

const SVG = "http://www.w3.org/2000/svg";
const KINDS = ["chosen", "front", "band", "beaten", "noisy"];
const [GLYPH, HEIGHT] = [6, 13];

/** Mark which points no other beats (x better small, y better large): booleans in the order given. */
export function onFront(points) {
  return points.map((p) => !points.some((q) => q.x <= p.x && q.y >= p.y && (q.x < p.x || q.y > p.y)));
}

/**
 * Draw points with the front as a stair, and as a band where intervals of x are known; null without points.
 *
 * dots: [{x, y, label, note, href, kind: one of KINDS, bar, across: [low, high] or null, of y and of x, leads: false
 * where a chosen one is not on the front}], axes: {title, factor, mayLog, also: values that
 * must be on the scale too}, frame: {width, height, ident}. Points are links, labelled where there is room, the best first.
 */
export function scatter(dots, x, y, frame) {
  if (!dots.length) return null;
  const plane = planeOf(dots, x, y, frame);
  const ordered = [...dots].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind));
  const corners = cornersOf(plane, dots.filter(leads));
  const { width, height, ident } = frame;
  const title = element("title", { id: `${ident}-t` }, `${y.title} over ${x.title}`);
  const parts = [title, ...grid(plane, x, y, frame), ...stairs(corners), ...band(plane, dots), ...points(plane, ordered, corners)];
  const box = { class: "scatter", viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-labelledby": `${ident}-t` };
  return element("svg", box, ...parts);
}

function element(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const px = (value) => value.toFixed(1);

function planeOf(dots, x, y, frame) {
  const box = { left: 46, top: 12, right: frame.width - 12, bottom: frame.height - 40 };
  const ys = dots.flatMap((dot) => [dot.y, ...(dot.bar ?? [])]);
  const xScale = fit([...dots.flatMap((dot) => [dot.x, ...(dot.across ?? [])]), ...(x.also ?? [])], box.left, box.right, x.mayLog);
  return { box, x: xScale, y: fit([...ys, ...(y.also ?? [])], box.bottom, box.top) };
}

function grid({ box, x: xs, y: ys }, x, y, frame) {
  const below = frame.height - 6;
  const across = Math.max(2, Math.floor((box.right - box.left) / 80));
  const up = Math.max(2, Math.floor((box.bottom - box.top) / 45));
  return [
    ...ticks(ys, up).flatMap((tick) => line(box, at(ys, tick), tickText(tick * (y.factor ?? 1)))),
    ...ticks(xs, across).flatMap((tick) => mark(box, at(xs, tick), tickText(tick * (x.factor ?? 1)))),
    element("path", { class: "axis", d: `M${px(box.left)} ${px(box.bottom)}H${px(box.right)}` }),
    element("text", { class: "title", x: px(box.right), y: below, "text-anchor": "end" }, `${x.title} →${xs.log ? " (log)" : ""}`),
    element("text", { class: "title", x: 4, y: below }, `↑ ${y.title}`),
  ];
}

function line(box, pixel, text) {
  return [
    element("path", { class: "grid", d: `M${px(box.left)} ${px(pixel)}H${px(box.right)}` }),
    element("text", { x: px(box.left - 7), y: px(pixel + 4), "text-anchor": "end" }, text),
  ];
}

function mark(box, pixel, text) {
  return [
    element("path", { class: "tick", d: `M${px(pixel)} ${px(box.bottom)}v4` }),
    element("text", { x: px(pixel), y: px(box.bottom + 17), "text-anchor": "middle" }, text),
  ];
}

/** Pixels at which the stair line turns; each step goes right first, then up. */
function cornersOf(plane, dots) {
  const front = [...dots].sort((a, b) => a.x - b.x || a.y - b.y);
  const distinct = front.filter((dot, index) => !index || dot.x !== front[index - 1].x || dot.y !== front[index - 1].y);
  const pixels = distinct.map((dot) => [at(plane.x, dot.x), at(plane.y, dot.y)]);
  const turns = pixels.slice(1).flatMap(([right, high], index) => [[right, pixels[index][1]], [right, high]]);
  return turns.length ? [pixels[0], ...turns] : [];
}

function leads({ kind, leads: first }) {
  return kind === "front" || (kind === "chosen" && first !== false);
}

/** Fill what lies between the stairs of the front's lower and of its upper ends. */
function band(plane, dots) {
  const front = dots.filter((dot) => leads(dot) && dot.across).sort((a, b) => a.x - b.x);
  const [low, high] = [0, 1].map((end) => cornersOf(plane, front.map((dot) => ({ x: dot.across[end], y: dot.y }))));
  if (!low.length || !high.length) return [];
  const path = [...low, ...high.reverse()].map(([x, y]) => `${px(x)} ${px(y)}`).join("L");
  return [element("path", { class: "band", d: `M${path}Z` }, element("title", {}, "cannot be told apart"))];
}

function stairs(corners) {
  if (!corners.length) return [];
  return [element("path", { class: "front", d: `M${corners.map(([x, y]) => `${px(x)} ${px(y)}`).join("L")}` })];
}

function points(plane, dots, corners) {
  const lines = corners.slice(1).map(([x, y], index) => {
    const [fromX, fromY] = corners[index];
    return { left: Math.min(fromX, x) - 1, top: Math.min(fromY, y) - 1, right: Math.max(fromX, x) + 1, bottom: Math.max(fromY, y) + 1 };
  });
  const places = place(dots.map((dot) => [at(plane.x, dot.x), at(plane.y, dot.y), dot.label]), plane.box, lines);
  // Drawn last = on top: the most important point of a heap must be the one that can be pressed.
  return dots.map((dot, index) => point(plane, dot, places[index])).reverse();
}

function point(plane, dot, label) {
  const [x, y] = [at(plane.x, dot.x), at(plane.y, dot.y)];
  const parts = [];
  if (dot.bar) parts.push(element("path", { class: "whisker", d: `M${px(x)} ${px(at(plane.y, dot.bar[0]))}V${px(at(plane.y, dot.bar[1]))}` }));
  if (dot.across) parts.push(element("path", { class: "whisker", d: `M${px(at(plane.x, dot.across[0]))} ${px(y)}H${px(at(plane.x, dot.across[1]))}` }));
  parts.push(element("circle", { class: "hit", cx: px(x), cy: px(y), r: 12 }));
  const circle = { class: "mark", cx: px(x), cy: px(y), r: dot.kind === "chosen" ? 6 : 4.5 };
  parts.push(element("circle", circle, element("title", {}, dot.note)));
  if (label) parts.push(element("text", { x: px(label.x), y: px(label.y), "text-anchor": label.anchor }, dot.label));
  return element("a", { class: `dot ${dot.kind}`, href: dot.href, "aria-label": dot.note }, ...parts);
}

/** Choose a place for each label beside its point, the first first; null where none is free (`zoo_registry.web.labels`). */
function place(wanted, plot, obstacles) {
  const taken = [...wanted.map(([x, y]) => ({ left: x - 6, top: y - 6, right: x + 6, bottom: y + 6 })), ...obstacles];
  return wanted.map(([x, y, text]) => {
    const free = candidates(x, y, text.length * GLYPH).find(({ box }) => holds(plot, box) && !taken.some((other) => overlaps(box, other)));
    if (free) taken.push(free.box);
    return free ?? null;
  });
}

function overlaps(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

function holds(outer, inner) {
  return outer.left <= inner.left && inner.right <= outer.right && outer.top <= inner.top && inner.bottom <= outer.bottom;
}

function candidates(x, y, width) {
  const around = [[9, 4, "start"], [-9, 4, "end"], [0, -10, "middle"], [0, 18, "middle"], [7, -10, "start"], [-7, -10, "end"], [7, 19, "start"], [-7, 19, "end"]];
  return around.map(([dx, dy, anchor]) => {
    const left = x + dx - { start: 0, middle: width / 2, end: width }[anchor];
    return { x: x + dx, y: y + dy, anchor, box: { left, top: y + dy - HEIGHT + 3, right: left + width, bottom: y + dy + 3 } };
  });
}

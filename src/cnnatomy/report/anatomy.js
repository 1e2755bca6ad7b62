const data = JSON.parse(document.getElementById("data").textContent);
const { boxes, edges, arrays, laws } = data;
const $ = (id) => document.getElementById(id);
const NAMES = ["y", "x"];
const state = { open: new Set(), box: null, unit: [0, 0, 0], channel: 0, reading: "exact", cost: "macs", input: 0 };

function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function html(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ---- what there is

const inGraph = new Set(edges.flat());
const children = boxes.map(() => []);
boxes.forEach((box, i) => { if (box.parent !== null && box.parent !== undefined) children[box.parent].push(i); });
const drawn = boxes.map(() => false);
for (let i of inGraph) for (; i !== null && i !== undefined && !drawn[i]; i = boxes[i].parent) drawn[i] = true;
const inner = boxes.map((_, i) => children[i].filter((child) => drawn[child]));
function above(i) {
  const chain = [];
  for (let at = i; at !== null && at !== undefined; at = boxes[at].parent) chain.push(at);
  return chain;
}

function kind(box) {
  if (box.type === "input" || box.type === "output") return "io";
  const name = (box.type === "operator" ? box.name : box.type).toLowerCase();
  if (/pool|subsample/.test(name)) return "pool";
  if (/norm/.test(name)) return "norm";
  if (/conv/.test(name)) return "conv";
  if (/linear|addmm|matmul|attention|rbf/.test(name)) return "linear";
  if (/relu|sigmoid|tanh|silu|gelu|swish|softmax|elu|mish/.test(name)) return "act";
  return "other";
}

function openTo(depth) {
  state.open = new Set([0]);
  boxes.forEach((box, i) => { if (inner[i].length && i && box.depth < depth) state.open.add(i); });
}

function visible() {
  const found = [];
  const walk = (i) => inner[i].forEach((child) => (state.open.has(child) ? walk(child) : found.push(child)));
  walk(0);
  return found.sort((one, other) => boxes[one].at - boxes[other].at);
}

// ---- numbers

function scaled(number, base, names) {
  let power = 0;
  for (; number >= base && power + 1 < names.length; power++) number /= base;
  return (power ? number.toPrecision(Math.max(4, String(Math.round(number)).length)) : String(Math.round(number))) + names[power];
}

const COSTS = {
  macs: ["MACs", (n) => scaled(n, 1000, ["", " k", " M", " G", " T"])],
  parameters: ["parameters", (n) => n.toLocaleString("en")],
  memory: ["output bytes", (n) => scaled(n, 1024, [" B", " KiB", " MiB", " GiB"])],
  saved: ["saved for backward", (n) => scaled(n, 1024, [" B", " KiB", " MiB", " GiB"])],
};

// ---- the graph

const TEXT = 6.7, HEAD = 24, PAD = 14;

function measure(i) {
  const box = boxes[i];
  const type = box.type === "operator" || box.type === box.name ? "" : box.type;
  const long = Math.max((box.name.length + 1 + type.length) * TEXT, box.out.length * 6.6);
  return { w: Math.min(300, Math.max(84, long + 26 + (inner[i].length ? 22 : 0))), h: 40 };
}

function compose(i) {
  const items = inner[i].slice().sort((one, other) => boxes[one].at - boxes[other].at);
  const seat = new Map(items.map((item, at) => [item, at]));
  const subs = items.map((item) => (state.open.has(item) ? compose(item) : null));
  const nodes = items.map((item, at) => (subs[at] ? { w: subs[at].w, h: subs[at].h } : measure(item)));
  const ports = i === 0 ? null : { in: nodes.length, out: nodes.length + 1 };
  if (ports) nodes.push({ w: 2, h: 0, port: "in" }, { w: 2, h: 0, port: "out" });
  const lifted = new Map();
  const own = (leaf) => above(leaf).find((at) => seat.has(at));
  for (const [a, b] of edges) {
    const from = own(a), to = own(b);
    const u = from === undefined ? ports?.in : seat.get(from), v = to === undefined ? ports?.out : seat.get(to);
    if (u === undefined || v === undefined || u === v || (from === undefined && to === undefined)) continue;
    lifted.set(`${u} ${v}`, [u, v]);
  }
  const pairs = [...lifted.values()].sort((one, other) => sorted(one[0], ports) - sorted(other[0], ports));
  const plan = arrange(nodes, pairs);
  const head = i === 0 ? 0 : HEAD;
  const w = Math.max(plan.w + 2 * PAD, i === 0 ? 0 : measure(i).w), shift = (w - plan.w) / 2;
  return { i, w, h: plan.h + head + 2 * PAD, items, subs, nodes, plan, pairs, ports, shift, head };
}

// Edges must be met in the order in which their sources run, so that ranks are final when they are read.
function sorted(index, ports) {
  return ports && index === ports.in ? -1 : index;
}

function drawGraph() {
  const whole = compose(0), root = $("graph");
  const peak = Math.max(1, ...visible().map((i) => boxes[i][state.cost] || 0));
  root.replaceChildren(svg("defs", {}, arrow()));
  root.setAttribute("width", Math.ceil(whole.w));
  root.setAttribute("height", Math.ceil(whole.h));
  paint(whole, 0, 0, root, peak);
}

function arrow() {
  const marker = { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" };
  return svg("marker", marker, svg("path", { d: "M0 1 7 4 0 7z", fill: "context-stroke" }));
}

function paint(part, x, y, root, peak) {
  const { plan, items, subs, nodes, shift, head } = part;
  if (part.i !== 0) root.append(frame(part, x, y));
  const dx = x + shift, dy = y + head + PAD;
  plan.lines.forEach((line, at) => root.append(edge(part, line, part.pairs[at], dx, dy, x, y)));
  items.forEach((item, at) => {
    const place = plan.at[at];
    if (subs[at]) paint(subs[at], dx + place.x, dy + place.y, root, peak);
    else root.append(boxOf(item, dx + place.x, dy + place.y, nodes[at], peak));
  });
}

function edge(part, line, [u, v], dx, dy, x, y) {
  const ends = line.map((point) => [[dx + point.x, dy + point.y - point.h / 2], [dx + point.x, dy + point.y + point.h / 2]]);
  const points = ends.flat().slice(1, -1);
  if (part.ports && u === part.ports.in) points[0] = [x + part.w / 2, y + HEAD];
  if (part.ports && v === part.ports.out) points[points.length - 1] = [x + part.w / 2, y + part.h];
  let d = `M${points[0].map(round)}`;
  for (let i = 1; i < points.length; i++) {
    const [[ax, ay], [bx, by]] = [points[i - 1], points[i]];
    const bend = Math.min(24, (by - ay) / 2);
    d += ax === bx ? `V${round(by)}` : `C${[ax, ay + bend, bx, by - bend, bx, by].map(round)}`;
  }
  const tip = part.ports && v === part.ports.out ? {} : { "marker-end": "url(#arrow)" };
  return svg("path", { d, class: points.length > 2 ? "edge skip" : "edge", ...tip });
}

function round(number) { return Math.round(number * 10) / 10; }

function boxOf(i, x, y, size, peak) {
  const box = boxes[i], cost = box[state.cost] || 0;
  const group = svg("g", { class: `box ${kind(box)}${i === state.box ? " chosen" : ""}`, tabindex: 0, role: "button", "data-box": i });
  group.setAttribute("transform", `translate(${round(x)} ${round(y)})`);
  group.append(svg("rect", { width: size.w, height: size.h, rx: 4 }), svg("rect", { class: "strip", width: 4, height: size.h, rx: 2 }));
  if (cost) group.append(svg("rect", { class: "cost", x: 4, y: size.h - 3, width: Math.max(1, (size.w - 4) * cost / peak), height: 3 }));
  group.append(label(box, size), svg("text", { class: "faint", x: 12, y: 32 }, box.out || "–"));
  group.append(svg("title", {}, hint(box)));
  if (inner[i].length) group.append(toggle(i, size.w - 24, 4, "+"));
  return group;
}

function label(box, size) {
  const type = box.type === "operator" || box.type === box.name || box.type === "input" || box.type === "output" ? "" : ` ${box.type}`;
  const room = Math.floor((size.w - 20) / TEXT), name = box.name.length > room ? `${box.name.slice(0, room - 1)}…` : box.name;
  const left = Math.max(0, room - name.length);
  return svg("text", { x: 12, y: 17 }, name, svg("tspan", { class: "faint" }, type.length > left ? type.slice(0, left) : type));
}

function hint(box) {
  const lines = [box.path || box.name, box.type, box.out && `output ${box.out}`];
  for (const [name, [title, text]] of Object.entries(COSTS)) if (box[name]) lines.push(`${title} ${text(box[name])}`);
  return [...lines, box.formula].filter(Boolean).join("\n");
}

function toggle(i, x, y, sign) {
  const what = sign === "+" ? "open" : "close";
  const group = svg("g", { class: "toggle", "data-toggle": i, role: "button", tabindex: 0, "aria-label": `${what} ${boxes[i].path}` });
  group.append(svg("rect", { x, y, width: 18, height: 18, rx: 3 }), svg("text", { x: x + 9, y: y + 14 }, sign));
  return group;
}

function frame(part, x, y) {
  const box = boxes[part.i];
  const group = svg("g", { class: `box open${part.i === state.box ? " chosen" : ""}`, "data-box": part.i, tabindex: 0, role: "button" });
  group.setAttribute("transform", `translate(${round(x)} ${round(y)})`);
  group.append(svg("rect", { width: part.w, height: part.h, rx: 6 }));
  group.append(label(box, { w: part.w - 24 }), svg("title", {}, hint(box)), toggle(part.i, part.w - 22, 4, "−"));
  return group;
}

// ---- the receptive field

function inputNames() { return data.inputs.map((one) => one.name); }

function axesOf(box, reading) {
  const name = inputNames()[state.input];
  return (box.fields?.[reading] || []).filter((one) => one.input === name);
}

function cells(axis, unit, channel) {
  const run = axis.runs.find(([stop]) => channel < stop) || axis.runs[axis.runs.length - 1];
  const [d, h, w] = unit.map((at, dim) => (axis.shape[dim] === 1 ? 0 : at));
  const at = (d * axis.shape[1] + h) * axis.shape[2] + w;
  return [arrays[run[1]][at], arrays[run[2]][at]];
}

// The interval without borders, if there is a law, and if it is this channel's: where channels differ it is that of the widest.
function free(axis, unit) {
  const law = laws[axis.law];
  if (axis.runs.length > 1 || law.kind !== "periodic" || (axis.along === null && axis.shape.some((n) => n > 1))) return null;
  const [inner, count] = axis.step ?? [1, 1], o = axis.step ? Math.floor(unit[axis.along] / inner) % count : 0, turns = Math.floor(o / law.period), phase = o % law.period;
  return [law.lo[phase] + turns * law.shift, law.hi[phase] + turns * law.shift];
}

function plane() {
  const shape = data.inputs[state.input].shape;
  return shape.length > 3 ? { h: shape[shape.length - 2], w: shape[shape.length - 1], yx: [shape.length - 2, shape.length - 1] }
    : { h: Math.max(1, Math.round(shape[shape.length - 1] / 6)), w: shape[shape.length - 1], yx: [-1, shape.length - 1] };
}

function rectangle(intervals, input) {
  const find = (axis, n) => intervals.get(axis) || [0, n - 1];
  const [y0, y1] = find(input.yx[0], input.h), [x0, x1] = find(input.yx[1], input.w);
  return y1 < y0 || x1 < x0 ? null : { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 };
}

function drawSeen() {
  const box = boxes[state.box], input = plane(), axes = axesOf(box, state.reading);
  const inside = new Map(axes.map((axis) => [axis.axis, cells(axis, state.unit, state.channel)]));
  const outside = new Map(axes.map((axis) => [axis.axis, free(axis, state.unit)]).filter(([, v]) => v));
  const real = axes.length ? rectangle(inside, input) : null;
  const loose = axes.length && outside.size === axes.length ? rectangle(outside, input) : null;
  const margin = 0.04 * Math.max(input.h, input.w), most = 0.75 * Math.max(input.h, input.w);
  const reach = loose || { x: 0, y: 0, width: input.w, height: input.h };
  const overs = [-reach.x, -reach.y, reach.x + reach.width - input.w, reach.y + reach.height - input.h];
  const beyond = Math.max(...overs) > most, grow = (over) => margin + Math.min(most, Math.max(0, over));
  const [left, top, right, bottom] = overs.map(grow), w = left + input.w + right, h = top + input.h + bottom;
  const scale = Math.min(330 / w, 330 / h), picture = svg("image", { href: data.picture, width: input.w, height: input.h, preserveAspectRatio: "none" });
  if (Math.max(input.h, input.w) < 128) picture.style.imageRendering = "pixelated";
  const target = $("seen");
  target.setAttribute("viewBox", [-left, -top, w, h].join(" "));
  target.setAttribute("width", w * scale);
  target.setAttribute("height", h * scale);
  target.replaceChildren(picture);
  if (loose) target.append(svg("rect", { class: "free", ...loose, "stroke-width": 1.3 / scale, "stroke-dasharray": `${5 / scale} ${4 / scale}` }));
  if (real) target.append(svg("rect", { class: "seen", ...real, "stroke-width": 2.2 / scale }));
  $("box").textContent = caption(axes, inside, real, Boolean(loose) && beyond);
}

function caption(axes, inside, real, far) {
  if (!axes.length) return "It reads nothing of this input, or its units are too many to draw.";
  if (!real) return "This unit depends on no cell of the input.";
  const sizes = [...inside.values()].map(([lo, hi]) => hi - lo + 1).join("×");
  const whole = axes.every((axis) => { const [lo, hi] = inside.get(axis.axis); return hi - lo + 1 >= axis.n; });
  const unsure = axes.find((axis) => axis.unsure);
  const beyond = far ? "; without the border it would reach beyond this view" : "";
  return `${sizes} of ${axes.map((axis) => axis.n).join("×")} cells${whole ? ": all of the input" : ""}` + (unsure ? `; at most: ${unsure.unsure} is taken to read everything` : "") + beyond;
}

function drawMap() {
  const box = boxes[state.box], target = $("map"), shape = box.fields?.map;
  target.parentElement.hidden = !shape;
  if (!shape) return;
  const [, , h, w] = shape, scale = Math.min(170 / w, 170 / h), mark = Math.max(1, 4 / scale);
  target.setAttribute("viewBox", `0 0 ${w} ${h}`);
  target.setAttribute("width", Math.max(12, w * scale));
  target.setAttribute("height", Math.max(12, h * scale));
  target.setAttribute("preserveAspectRatio", "none");
  target.replaceChildren(svg("rect", { class: "all", width: w, height: h }));
  const clear = unclipped(box, h, w);
  if (clear) target.append(svg("rect", { class: "whole", ...clear }));
  if (scale >= 6) target.append(grid(h, w, 1 / scale));
  const [, y, x] = state.unit;
  target.append(svg("rect", { class: "unit", x: x + 0.5 - mark / 2, y: y + 0.5 - mark / 2, width: mark, height: mark, "stroke-width": 0 }));
  const differ = axesOf(box, state.reading).some((axis) => axis.runs.length > 1);
  const sight = differ ? "channels differ: size, jump and start below are those of the widest" : clear ? "green: units whose field lies whole in the picture" : "every unit's field is clipped by the border";
  $("mapped").textContent = h * w > 1 ? `unit ${y}, ${x} of ${h}×${w}: click or drag; ${sight}` : "the only unit of its map";
}

function grid(h, w, width) {
  const lines = [...Array(h - 1).keys()].map((i) => `M0 ${i + 1}H${w}`).concat([...Array(w - 1).keys()].map((i) => `M${i + 1} 0V${h}`));
  return svg("path", { class: "grid", d: lines.join(""), "stroke-width": width });
}

// The units whose clipped interval equals the free one, where those form a rectangle.
function unclipped(box, h, w) {
  const axes = axesOf(box, state.reading), limits = [[0, h - 1], [0, w - 1]];
  for (const axis of axes) {
    const dim = axis.along;
    if (!dim) return null;
    const whole = [], many = dim === 1 ? h : w;
    for (let o = 0; o < many; o++) {
      const unit = [0, 0, 0];
      unit[dim] = o;
      const [lo, hi] = cells(axis, unit, state.channel), loose = free(axis, unit);
      if (loose && loose[0] === lo && loose[1] === hi) whole.push(o);
    }
    if (!whole.length) return null;
    limits[dim - 1] = [whole[0], whole[whole.length - 1]];
  }
  const [[y0, y1], [x0, x1]] = limits;
  return axes.length ? { x: x0, y: y0, width: x1 - x0 + 1, height: y1 - y0 + 1 } : null;
}

function drawNumbers() {
  const box = boxes[state.box], table = $("numbers"), rank = data.inputs[state.input].shape.length;
  const head = ["axis", "reads", "cells", "without border", "size", "jump", "start", "centre"];
  const body = axesOf(box, state.reading).map((axis) => {
    const [lo, hi] = cells(axis, state.unit, state.channel), loose = free(axis, state.unit), law = laws[axis.law];
    const name = rank > 3 && axis.axis >= rank - 2 ? NAMES[axis.axis - rank + 2] : rank === 3 ? "x" : String(axis.axis);
    const sizes = law.lo ? [...new Set(law.lo.map((a, i) => law.hi[i] - a + 1))].sort((a, b) => a - b).join(" or ") : law.kind;
    const seen = hi < lo ? ["nothing", 0] : [`${lo} … ${hi}`, hi - lo + 1];
    return [name, ...seen, loose ? `${loose[0]} … ${loose[1]}` : "–", sizes, law.jump ?? "–", law.lo?.[0] ?? "–", law.centre ?? "–"];
  });
  const row = (texts, tag) => html("tr", {}, ...texts.map((text) => html(tag, { class: "n" }, String(text))));
  table.replaceChildren(html("thead", {}, row(head, "th")), html("tbody", {}, ...body.map((texts) => row(texts, "td"))));
}

function drawHeat() {
  if (!$("effective")) return;
  const known = data.effective[state.box], input = plane();
  $("effective").hidden = !known;
  if (!known) return;
  const scale = Math.min(220 / input.w, 220 / input.h), target = $("heat");
  target.setAttribute("viewBox", `0 0 ${input.w} ${input.h}`);
  target.setAttribute("width", input.w * scale);
  target.setAttribute("height", input.h * scale);
  const size = { width: input.w, height: input.h, preserveAspectRatio: "none" };
  target.replaceChildren(svg("image", { href: data.picture, ...size, opacity: 0.25 }), svg("image", { href: known, ...size }));
  $("heated").textContent = "effective field of the middle unit: how strongly its value depends on each pixel (input gradient)";
}

function drawSliders() {
  const target = $("sliders"), shape = boxes[state.box].fields?.map;
  target.replaceChildren();
  if (!shape) return;
  const differ = ["exact", "local"].some((one) => axesOf(boxes[state.box], one).some((axis) => axis.runs.length > 1));
  const add = (title, most, value, change) => {
    const shown = html("output", {}, String(value)), range = html("input", { type: "range", min: 0, max: most, value });
    range.addEventListener("input", () => { shown.textContent = range.value; change(Number(range.value)); drawUnit(); });
    target.append(html("label", {}, `${title} `, range, " ", shown));
  };
  if (differ) add("channel", shape[0] - 1, state.channel, (at) => { state.channel = at; });
  if (shape[1] > 1) add("depth", shape[1] - 1, state.unit[0], (at) => { state.unit[0] = at; });
}

function drawUnit() {
  drawMap();
  drawSeen();
  drawNumbers();
}

function choose(i) {
  const box = boxes[i], shape = box.fields?.map;
  state.box = i;
  state.channel = 0;
  state.unit = shape ? shape.slice(1).map((n) => Math.floor((n - 1) / 2)) : [0, 0, 0];
  $("chosen").textContent = box.path || box.name;
  $("about").textContent = [box.type, box.out && `output ${box.out}`, ...Object.entries(COSTS).filter(([name]) => box[name])
    .map(([name, [title, text]]) => `${text(box[name])} ${title}`), box.formula].filter(Boolean).join(" · ");
  document.querySelectorAll("#graph .chosen").forEach((one) => one.classList.remove("chosen"));
  document.querySelector(`#graph [data-box="${i}"]`)?.classList.add("chosen");
  drawSliders();
  drawUnit();
  drawHeat();
}

// ---- the costs

function drawBars() {
  const [, text] = COSTS[state.cost], rows = visible().filter((i) => boxes[i][state.cost]);
  const peak = Math.max(1, ...rows.map((i) => boxes[i][state.cost])), sum = rows.reduce((all, i) => all + boxes[i][state.cost], 0);
  $("bars").replaceChildren(...rows.flatMap((i) => {
    const box = boxes[i], cost = box[state.cost], name = html("button", { type: "button", "data-show": i }, box.path || box.name);
    const bar = html("div", { class: "bar", style: `width:${(100 * cost) / peak}%` });
    return [name, bar, html("span", { class: "n" }, `${text(cost)}  ${((100 * cost) / sum).toFixed(1)}%`)];
  }));
  if (!rows.length) $("bars").append("none");
}

function buttons(target, entries, chosen, change) {
  target.replaceChildren(...entries.map(([value, title]) => {
    const made = html("button", { type: "button", "aria-pressed": String(value === chosen) }, title);
    made.addEventListener("click", () => change(value));
    return made;
  }));
}

function deepest() {
  return Math.max(1, ...boxes.filter((_, i) => drawn[i] && !inner[i].length).map((box) => box.depth || 1));
}

function drawTools(depth) {
  const levels = Array.from({ length: deepest() }, (_, i) => [i + 1, String(i + 1)]);
  buttons($("depths"), levels, depth, (level) => { openTo(level); refresh(level); });
  buttons($("costs"), Object.entries(COSTS).map(([name, [title]]) => [name, title]), state.cost, (name) => {
    state.cost = name;
    refresh(depth);
  });
}

function refresh(depth = null) {
  drawTools(depth);
  drawGraph();
  drawBars();
}

function flip(i) {
  if (!state.open.delete(i)) state.open.add(i);
  const scroll = $("scroll"), kept = [scroll.scrollLeft, scroll.scrollTop];
  refresh();
  [scroll.scrollLeft, scroll.scrollTop] = kept;
}

// ---- events

function act(event) {
  const opened = event.target.closest("[data-toggle]"), hit = event.target.closest("[data-box]");
  if (opened) flip(Number(opened.dataset.toggle));
  else if (hit) choose(Number(hit.dataset.box));
  return Boolean(opened || hit);
}

$("graph").addEventListener("click", act);
$("graph").addEventListener("dblclick", (event) => {
  const hit = event.target.closest("[data-box]");
  if (hit && inner[hit.dataset.box].length) flip(Number(hit.dataset.box));
});
$("graph").addEventListener("keydown", (event) => {
  if ((event.key === "Enter" || event.key === " ") && act(event)) event.preventDefault();
});
$("bars").addEventListener("click", (event) => {
  const hit = event.target.closest("[data-show]");
  if (!hit) return;
  choose(Number(hit.dataset.show));
  document.querySelector(`#graph [data-box="${hit.dataset.show}"]`)?.scrollIntoView({ block: "center", inline: "center" });
});
$("map").addEventListener("pointerdown", (event) => { $("map").setPointerCapture(event.pointerId); point(event); });
$("map").addEventListener("pointermove", (event) => { if (event.buttons) point(event); });
$("map").addEventListener("keydown", (event) => {
  const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
  if (!step) return;
  event.preventDefault();
  moveTo(state.unit[1] + step[0], state.unit[2] + step[1]);
});
document.querySelectorAll("[name=reading]").forEach((one) => one.addEventListener("change", () => {
  state.reading = one.value;
  drawUnit();
}));

function point(event) {
  const frame = $("map").getBoundingClientRect(), [, , h, w] = boxes[state.box].fields.map;
  moveTo(Math.floor(((event.clientY - frame.top) / frame.height) * h), Math.floor(((event.clientX - frame.left) / frame.width) * w));
}

function moveTo(y, x) {
  const [, , h, w] = boxes[state.box].fields.map, keep = (at, n) => Math.max(0, Math.min(n - 1, at));
  state.unit = [state.unit[0], keep(y, h), keep(x, w)];
  drawUnit();
}

function start() {
  let depth = data.depth;
  if (depth === null) {
    for (depth = 1; depth < deepest(); depth++) { openTo(depth + 1); if (visible().length > 40) break; }
  }
  openTo(depth);
  if (data.inputs.length > 1) {
    $("inputs").hidden = false;
    const show = () => buttons($("inputs"), inputNames().map((name, i) => [i, name]), state.input, (i) => { state.input = i; show(); drawUnit(); });
    show();
  }
  refresh(depth);
  $("scroll").scrollLeft = ($("scroll").scrollWidth - $("scroll").clientWidth) / 2;
  const last = visible().filter((i) => boxes[i].fields && boxes[i].fields.map[2] * boxes[i].fields.map[3] > 1).pop();
  choose(last ?? visible()[0] ?? 0);
}

start();

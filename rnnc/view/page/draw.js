// Drawing: a geometry as SVG. Positions are Graphviz's; everything a name is in is put there as text.
const SVG = "http://www.w3.org/2000/svg";
const TILE = 800; // boxes in squares of this size have texts, or none, together

function shape(tag, attributes, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** A layer with everything of a geometry, and its groups by key; ``mark`` says what the pass did to a key. */
function draw(step, geometry, mark) {
  const nodes = new Map();
  const edges = new Map();
  const tiles = new Map();
  const frames = shape("g", { class: "frames" });
  const lines = shape("g", { class: "edges", "aria-hidden": "true" });
  const boxes = shape("g", { class: "nodes", role: "group", "aria-label": "Values" });
  for (const [key, f] of geometry.frames) frames.append(frame(step.frames.get(key), f, depth(step, key)));
  for (const e of geometry.edges) {
    const made = shape("path", { d: e.path, class: `edge ${e.way}`, "marker-end": `url(#${e.way ? "backtip" : "tip"})` });
    for (const end of new Set([e.from, e.to])) {
      if (!edges.has(end)) edges.set(end, []);
      edges.get(end).push(made);
    }
    lines.append(made);
  }
  for (const [key, made] of geometry.boxes) {
    const group = node(key, step.nodes.get(key), made, mark(key));
    nodes.set(key, group);
    tile(tiles, made, boxes).append(group);
  }
  return { tiles: [...tiles.values()], layer: shape("g", { class: "scene" }, frames, lines, boxes), nodes, edges };
}

/** The group of boxes around a place, which grows to hold this one. */
function tile(tiles, { x, y, w, h }, into) {
  const at = `${Math.floor(x / TILE)} ${Math.floor(y / TILE)}`;
  if (!tiles.has(at)) {
    tiles.set(at, { group: shape("g", {}), left: x, top: y, right: x, bottom: y });
    into.append(tiles.get(at).group);
  }
  const found = tiles.get(at);
  found.left = Math.min(found.left, x);
  found.top = Math.min(found.top, y);
  found.right = Math.max(found.right, x + w);
  found.bottom = Math.max(found.bottom, y + h);
  return found.group;
}

function depth(step, key) {
  const outer = step.frames.get(key)?.frame;
  return outer === undefined ? 0 : 1 + depth(step, outer);
}

function frame(record, f, level) {
  const group = shape("g", { class: `frame level${level % 2}` }, shape("rect", { x: f.x, y: f.y, width: f.w, height: f.h, rx: 10 }));
  const label = shape("text", { x: f.x + f.w / 2, y: f.y + 15 });
  label.textContent = clip(record.label, LABEL);
  group.append(label);
  return group;
}

function node(key, record, made, mark) {
  const kind = record.kind ?? "op";
  const label = spoken(made, record, mark);
  const group = shape("g", { class: `node ${kind}${mark ? ` ${mark}` : ""}`, tabindex: 0, role: "button", "aria-label": label });
  group.style.transform = `translate(${made.x}px,${made.y}px)`;
  group.style.setProperty("--lower", `${made.h / 2 - 12}px`);
  group.dataset.key = key;
  const round = { input: 18, delay: 18, region: 18 }[kind] ?? 5;
  group.append(shape("rect", { width: made.w, height: made.h, rx: round }));
  if (kind === "recurrent") group.append(shape("rect", { class: "inner", x: 3, y: 3, width: made.w - 6, height: made.h - 6, rx: 3 }));
  const title = shape("text", { class: "title", x: made.w / 2, y: 17 });
  title.textContent = made.title;
  const sub = shape("text", { class: "sub", x: made.w / 2, y: 32 });
  sub.textContent = made.sub;
  group.append(title, " ", sub);
  for (const c of made.chips) {
    const small = shape("g", { class: `chip ${c.kind}` }, shape("rect", { x: c.x, y: 40, width: c.w, height: 15, rx: 7 }));
    if (c.key !== null) small.dataset.key = c.key;
    const text = shape("text", { x: c.x + c.w / 2, y: 51 });
    text.textContent = c.text;
    small.append(text);
    group.append(" ", small);
  }
  return group;
}

/** What a screen reader says of a value: what is seen, and what it reads. */
function spoken(made, record, mark) {
  const parts = [[made.title, made.sub, ...made.chips.map((c) => c.text)].join(" ")];
  if (record.in.length) parts.push(`reads ${record.in.map((read) => short(read, record)).join(", ")}`);
  if (mark) parts.push(`${mark} by this pass`);
  return parts.join("; ");
}

/** The tips of edges, once for the page. */
function tips() {
  const tip = (id) => {
    const shown = shape("path", { d: "M0,0L8,4L0,8z" });
    return shape("marker", { id, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto", markerUnits: "userSpaceOnUse" }, shown);
  };
  return shape("svg", { class: "unseen", "aria-hidden": "true" }, shape("defs", {}, tip("tip"), tip("backtip")));
}

// The layout: what is a box and what an edge is decided here; where they go, Graphviz decides.
const CHAR = { title: 7.8, sub: 6.3, chip: 6.0 }; // widths of a character in the three sizes of type
const LONG = 30; // characters of a line
const LABEL = 48; // and of what a frame is called
const LIMIT = 3000; // more boxes than this are drawn in part
const PART = 400; // how many then
const REACH = 24; // an edge over more ranks than this is a stub, where there are many
const SPREAD = 5; // as many ranks as this for each box, counted over all edges
const DPI = 72;

/** What is drawn of a step: boxes by key, each with its lines and chips, and edges; around ``centre`` if there are too many. */
function plan(step, centre) {
  const nodes = step.nodes;
  const isBox = ([, record]) => record.kind !== "weight" || record.ends;
  let keys = new Set([...nodes].filter(isBox).map(([key]) => key));
  const whole = keys.size;
  if (whole > LIMIT || step.tangled) keys = around(step, keys, nodes.has(centre) ? centre : keys.values().next().value);
  const edges = [];
  const boxes = new Map();
  for (const key of keys) boxes.set(key, box(key, nodes.get(key)));
  for (const [key, made] of boxes) {
    for (const [from, way] of flow(nodes.get(key))) {
      if (boxes.has(from)) edges.push({ from, to: key, way, back: way === "back" });
      else if (nodes.has(from)) chip(made, from, nodes.get(from), nodes.get(from).kind === "weight" ? "weight" : "far");
    }
  }
  const kept = cut(boxes, edges, nodes);
  for (const made of boxes.values()) measure(made);
  return { boxes, edges: kept, whole };
}

function box(key, record) {
  const title = titled(key, record);
  const name = named(key, record);
  const sub = title === record.op ? `${name} · ${record.type}` : `${record.op} · ${record.type}`;
  const made = { title: clip(title), sub: clip(sub), chips: [] };
  if (record.kind === "delay") {
    made.title = `⟲ ${made.title}`;
    made.sub = clip(`delay ${record.attrs.find(([attr]) => attr === "k")[1]} · ${record.type}`);
  }
  for (const end of record.ends ?? []) made.chips.push({ text: clip(end, 20), kind: "end", key });
  return made;
}

function chip(made, key, record, kind) {
  if (!made.chips.some((c) => c.key === key)) {
    made.chips.push({ text: clip(titled(key, record), 18), kind, key });
  }
}

function measure(made) {
  if (made.chips.length > 5) {
    const rest = made.chips.length - 4;
    made.chips = [...made.chips.slice(0, 4), { text: `+${rest}`, kind: "more", key: null }];
  }
  for (const c of made.chips) c.w = Math.ceil(c.text.length * CHAR.chip) + 10;
  const row = made.chips.reduce((sum, c) => sum + c.w + 4, -4);
  const lines = Math.max(made.title.length * CHAR.title, made.sub.length * CHAR.sub) + 20;
  made.w = Math.ceil(Math.max(60, lines, row + 16));
  let x = (made.w - row) / 2;
  for (const c of made.chips) {
    c.x = x;
    x += c.w + 4;
  }
  made.h = made.chips.length ? 60 : 40;
}

function clip(text, most = LONG) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** The keys nearest to ``centre`` along edges, either way. */
function around(step, keys, centre) {
  const next = new Map();
  const tie = (a, b) => (next.get(a) ?? next.set(a, []).get(a)).push(b);
  for (const [key, record] of step.nodes) {
    for (const [from] of flow(record)) if (keys.has(from)) tie(key, from), tie(from, key);
  }
  const found = new Set([centre]);
  for (const key of found) {
    for (const other of next.get(key) ?? []) {
      if (found.size < PART && keys.has(other)) found.add(other);
    }
  }
  return found;
}

/** The edges without those that reach over many ranks, if there are many such: these become chips on what reads. */
function cut(boxes, edges, nodes) {
  const waits = new Map([...boxes.keys()].map((key) => [key, 0]));
  const after = new Map([...boxes.keys()].map((key) => [key, []]));
  const rank = new Map([...boxes.keys()].map((key) => [key, 0]));
  const down = (e) => (e.back ? [e.to, e.from] : [e.from, e.to]);
  for (const e of edges) {
    const [a, b] = down(e);
    after.get(a).push(b);
    waits.set(b, waits.get(b) + 1);
  }
  const ready = [...waits].filter(([, n]) => n === 0).map(([key]) => key);
  for (const key of ready) {
    for (const b of after.get(key)) {
      rank.set(b, Math.max(rank.get(b), rank.get(key) + 1));
      waits.set(b, waits.get(b) - 1);
      if (waits.get(b) === 0) ready.push(b);
    }
  }
  for (const key of ready.reverse()) { // as near as may be to what reads it, as Graphviz will have it
    if (after.get(key).length) rank.set(key, Math.min(...after.get(key).map((b) => rank.get(b))) - 1);
  }
  const span = (e) => Math.abs(rank.get(e.to) - rank.get(e.from));
  if (edges.reduce((sum, e) => sum + span(e), 0) <= SPREAD * boxes.size) return edges;
  return edges.filter((e) => {
    if (span(e) <= REACH) return true;
    chip(boxes.get(e.to), e.from, nodes.get(e.from), e.back ? "farback" : "far");
    return false;
  });
}

/** The plan in Graphviz's language. Its names are numbers, so that no name of the model is in it. */
function dot(step, planned) {
  const number = new Map([...planned.boxes.keys()].map((key, i) => [key, i]));
  const inside = new Map();
  for (const key of planned.boxes.keys()) {
    const frame = step.nodes.get(key).frame ?? "";
    if (!inside.has(frame)) inside.set(frame, []);
    inside.get(frame).push(`${number.get(key)};`);
  }
  const frames = new Map([...step.frames.keys()].map((key, i) => [key, i]));
  const children = new Map();
  for (const [key, frame] of step.frames) {
    const outer = frame.frame ?? "";
    if (!children.has(outer)) children.set(outer, []);
    children.get(outer).push(key);
  }
  const cluster = (key) => {
    const content = [...(inside.get(key) ?? []), ...(children.get(key) ?? []).map(cluster)].join("");
    const label = "x".repeat(clip(step.frames.get(key).label, LABEL).length); // as much room as it takes
    return content && `subgraph cluster_${frames.get(key)}{margin=14;label="${label}";fontsize=12;${content}}`;
  };
  const lines = ["digraph{rankdir=TB;nodesep=0.25;ranksep=0.45;node[shape=box,fixedsize=true,label=\"\"];"];
  for (const [key, made] of planned.boxes) {
    lines.push(`${number.get(key)}[width=${(made.w / DPI).toFixed(3)},height=${(made.h / DPI).toFixed(3)}];`);
  }
  for (const key of children.get("") ?? []) lines.push(cluster(key));
  planned.edges.forEach((e, i) => {
    const [a, b] = e.back ? [e.to, e.from] : [e.from, e.to];
    lines.push(`${number.get(a)}->${number.get(b)}[id=${i}${e.back ? ",dir=back" : ""}${e.way === "late" ? ",weight=0" : ""}];`);
  });
  return `${lines.join("\n")}\n}`;
}

/** Positions from Graphviz's answer, y downwards. */
function placed(step, planned, text) {
  const found = JSON.parse(text);
  const [, , width, height] = found.bb.split(",").map((side) => Math.max(Number(side), 1));
  const point = (pair) => {
    const [x, y] = pair.split(",").map(Number);
    return [x, height - y];
  };
  const keys = [...planned.boxes.keys()];
  const frameKeys = [...step.frames.keys()];
  const frames = new Map();
  for (const object of found.objects ?? []) {
    if (object.pos) {
      const made = planned.boxes.get(keys[Number(object.name)]);
      const [x, y] = point(object.pos);
      Object.assign(made, { x: x - made.w / 2, y: y - made.h / 2 });
    } else if (object.bb && object.name.startsWith("cluster_")) {
      const [x0, y0, x1, y1] = object.bb.split(",").map(Number);
      const key = frameKeys[Number(object.name.slice(8))];
      frames.set(key, { x: x0, y: height - y1, w: x1 - x0, h: y1 - y0 });
    }
  }
  for (const edge of found.edges ?? []) planned.edges[Number(edge.id)].path = path(edge.pos, point);
  return { ...planned, frames, width, height };
}

/** A spline of Graphviz's as a path, from its start to its end, whichever end its arrow is at. */
function path(pos, point) {
  const parts = pos.split(" ");
  let tip = null;
  while (/^[es],/.test(parts[0])) tip = point(parts.shift().slice(2));
  const points = parts.map(point);
  const back = pos.startsWith("s");
  if (back) points.reverse();
  if (tip) points.push(tip, tip, tip); // on to the arrow's tip
  const text = points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`);
  return `M${text[0]}C${text.slice(1).join(" ")}`;
}

const engine = { worker: null, waiting: new Map(), count: 0 };

/** Graphviz's answer. A worker that failed is ended: a stack that overflowed leaves Graphviz in no state to go on. */
function asked(text) {
  if (!engine.worker) {
    const parts = ["engine", "worker"].map((id) => document.getElementById(id).textContent);
    const address = URL.createObjectURL(new Blob(parts, { type: "text/javascript" }));
    engine.worker = new Worker(address);
    engine.worker.onmessage = ({ data }) => answered(data);
    engine.worker.onerror = (e) => [...engine.waiting.keys()].forEach((id) => answered({ id, error: e.message }));
  }
  const id = engine.count++;
  const waits = { text };
  waits.done = new Promise((resolve, reject) => Object.assign(waits, { resolve, reject }));
  engine.waiting.set(id, waits);
  engine.worker.postMessage({ id, dot: text });
  return waits.done;
}

function answered({ id, text, error }) {
  const { resolve, reject } = engine.waiting.get(id);
  engine.waiting.delete(id);
  if (error === undefined) return resolve(text);
  engine.worker.terminate();
  engine.worker = null;
  const rest = [...engine.waiting.values()];
  engine.waiting.clear();
  for (const other of rest) asked(other.text).then(other.resolve, other.reject);
  return reject(new Error(error));
}

/** When nothing is being laid out. */
function idle() {
  return Promise.allSettled([...engine.waiting.values()].map((w) => w.done));
}

/** Where everything of a step goes: a promise, kept for as long as it may serve again. */
function layout(step, centre) {
  const like = step.like;
  if (like.geometry) return like.geometry;
  const planned = plan(like, centre);
  const found = asked(dot(like, planned)).then((text) => placed(like, planned, text));
  if (planned.whole > planned.boxes.size) return found;
  like.geometry = found.catch((error) => {
    if (like.tangled || planned.whole <= PART) throw error;
    like.tangled = true; // more than Graphviz can do: a part, then
    like.geometry = null;
    return layout(step, centre);
  });
  return like.geometry;
}

// The data: every step as a scene, records and frames by key. Names are data: they go into Maps and text only.
const DATA = JSON.parse(document.getElementById("data").textContent);
const NONE = { added: new Set(), replaced: new Set(), erased: new Set() };

const STEPS = [];
for (const given of DATA.steps) {
  const last = STEPS.at(-1) ?? { nodes: new Map(), frames: new Map() };
  const step = { name: given.name, number: STEPS.length, edits: given.edits ?? [], marks: NONE };
  if (given.set) {
    step.scene = new Map(last.nodes);
    for (const key of given.gone) step.scene.delete(key);
    for (const [key, record] of Object.entries(given.set)) step.scene.set(key, record);
    step.nodes = step.scene;
    step.frames = given.frames ? new Map(Object.entries(given.frames)) : last.frames;
    if (given.marks) {
      step.marks = Object.fromEntries(Object.entries(given.marks).map(([mark, keys]) => [mark, new Set(keys)]));
    }
    step.like = step;
  } else {
    Object.assign(step, { nodes: last.nodes, frames: last.frames, like: last.like });
  }
  STEPS.push(step);
}

/** The edges into a record, as [key, way]: "back", "late" or "". */
function flow(record) {
  return record.flow ?? record.in.map((key) => [key, ""]);
}

/** Who reads each value of a step: a Map from keys to lists of keys. */
function users(step) {
  const like = step.like;
  if (!like.users) {
    like.users = new Map();
    for (const [key, record] of like.nodes) {
      for (const read of new Set(record.in)) {
        if (!like.users.has(read)) like.users.set(read, []);
        like.users.get(read).push(key);
      }
    }
  }
  return like.users;
}

/** A value's own name, without the frame it is in. */
function named(key, record) {
  const frame = record.frame;
  return frame && key.startsWith(`${frame}/`) ? key.slice(frame.length + 1) : key;
}

/** Whether a value has no name of its own, but is a step of a computation. */
function temporary(key, record) {
  return named(key, record).startsWith("%");
}

/** What a value is called where there is little room. */
function titled(key, record) {
  if (record.label !== undefined) return record.label;
  return temporary(key, record) ? record.op : named(key, record);
}

/** A value as a line of text. */
function line(key, record) {
  const reads = record.in.map((read) => short(read, record)).join(", ");
  return `${named(key, record)}: ${record.type} = ${record.op}(${reads})`;
}

/** A key as it is called next to ``record``: without the frame they share. */
function short(key, record) {
  return record.frame && key.startsWith(`${record.frame}/`) ? key.slice(record.frame.length + 1) : key;
}

/** The remarks on a value: on one of its places in the source, or by its name. */
function remarksOn(key, record) {
  const at = new Set(record.at ?? []);
  const name = named(key, record);
  return DATA.remarks.filter((r) => at.has(r.at) || r.message.split(/[\s,:]+/).includes(name));
}

/** An element with attributes and children, where a string is text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

/** Tells whoever listens rather than looks. */
function say(text) {
  document.getElementById("status").textContent = text;
}

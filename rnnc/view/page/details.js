// Details: what the panel says of a value, of a pass, of the model, and the list of all values.

const LISTED = 5000; // lines of the list

/** A button that goes to a value. */
function link(key, text, go, mark = "") {
  return element("button", { class: `link ${mark}`, onclick: () => go(key) }, text);
}

/** Everything known of a value. */
function about(step, key, go) {
  const record = step.nodes.get(key);
  if (!record) {
    const text = key === null ? "Click a value, or press Enter on it." : `${key} is not in this step.`;
    return [element("p", { class: "quiet" }, text)];
  }
  const facts = [["op", record.op], ["type", record.type]];
  if (record.label !== undefined && record.label !== record.type) facts.push(["called", record.label]);
  for (const end of record.ends ?? []) facts.push(["is", end]);
  facts.push(...(record.attrs ?? []));
  const shown = [element("h2", {}, named(key, record))];
  if (DATA.ops?.[record.op]) shown.push(element("p", { class: "quiet" }, DATA.ops[record.op]));
  const table = element("dl", { class: "facts" });
  for (const [name, value] of facts) table.append(element("dt", {}, name), element("dd", {}, value));
  shown.push(table);
  const links = (title, keys) => keys.length && shown.push(element("h3", {}, title), element("p", { class: "links" },
    ...keys.flatMap((k) => [link(k, step.nodes.has(k) ? called(k, step.nodes.get(k)) : k, go), " "])));
  links("reads", record.in);
  links("is read by", users(step).get(key) ?? []);
  for (const at of record.at ?? []) shown.push(excerpt(DATA.places[at]));
  const remarks = remarksOn(key, record);
  if (remarks.length) shown.push(element("h3", {}, "remarks on it"), ...remarks.map((r) => remark(r)));
  return shown;
}

/** A value as a link calls it. */
function called(key, record) {
  const [title, name] = [titled(key, record), named(key, record)];
  return title === name ? name : `${title} ${name}`;
}

/** A place in the source: its lines with the span marked, and those around it. */
function excerpt([file, first, start, last, end]) {
  const all = Object.entries(DATA.sources[file] ?? {}).map(([n, text]) => [Number(n), text]);
  const lines = all.filter(([n]) => n >= first - 2 && n <= last + 2).sort((a, b) => a[0] - b[0]);
  const title = element("h3", {}, `${file}:${first}:${start + 1}`);
  if (!lines.length) return title;
  const indent = Math.min(...lines.filter(([, text]) => text.trim()).map(([, text]) => text.search(/\S/)));
  const code = element("pre", { class: "source", role: "group", tabindex: 0, "aria-label": `Source, ${file} line ${first}` });
  for (const [n, text] of lines) {
    const from = n === first ? start : n > first && n <= last ? 0 : text.length;
    const to = n === last && end > start ? end : n >= first && n <= last ? text.length : from;
    const row = element("span", { class: n >= first && n <= last ? "row here" : "row" });
    row.append(element("i", { "aria-hidden": "true" }, String(n).padStart(4)), " ", text.slice(indent, from));
    if (to > from) row.append(element("mark", {}, text.slice(Math.max(from, indent), to)));
    row.append(text.slice(to));
    code.append(row, "\n");
  }
  return element("div", {}, title, code);
}

function remark(r, ...more) {
  const shown = element("div", { class: `remark ${r.kind}` }, element("b", {}, `${r.kind}: ${r.where}`), ` ${r.message}`, ...more);
  if (r.details) shown.append(element("pre", {}, r.details.join("\n")));
  return shown;
}

/** What the pass of a step did. */
function changes(step, before, go) {
  if (!before) return [element("p", { class: "quiet" }, "The graph as it was, before any pass.")];
  if (!step.edits.length) return [element("p", { class: "quiet" }, `${step.name} changed nothing.`)];
  const shown = [element("p", {}, `${step.edits.length} edits. Their net effect:`)];
  for (const mark of ["added", "replaced", "erased"]) {
    const keys = [...step.marks[mark]];
    if (!keys.length) continue;
    const nodes = mark === "erased" ? before.nodes : step.nodes;
    shown.push(element("h3", {}, `${mark} ${keys.length}`), element("p", { class: "links" },
      ...keys.slice(0, 200).flatMap((k) => [link(k, called(k, nodes.get(k)), go, mark), " "]), keys.length > 200 ? `and ${keys.length - 200} more` : ""));
  }
  const rules = new Map();
  for (const [, , by] of step.edits) if (by) rules.set(by, (rules.get(by) ?? 0) + 1);
  if (rules.size) shown.push(element("h3", {}, "by rule"), element("ul", {}, ...[...rules].map(([by, n]) => element("li", {}, `${by}: ${n}`, rule(by)))));
  const each = element("details", {}, element("summary", {}, "Every edit, in order"));
  each.addEventListener("toggle", () => {
    if (each.childElementCount > 1) return;
    each.append(element("ol", { class: "edits" }, ...step.edits.map(([verb, value, by]) => element("li", {}, `${verb} ${value}${by ? ` by ${by}` : ""}`))));
  });
  shown.push(each);
  return shown;
}

/** A rule as its file has it, if it is known by a place there. */
function rule(by) {
  const text = DATA.rules?.[by];
  return text ? element("pre", {}, text) : "";
}

/** All remarks, each with a way to the values that it is on. */
function remarks(go, at) {
  if (!DATA.remarks.length) return [element("p", { class: "quiet" }, "None.")];
  return DATA.remarks.map((r) => {
    const place = r.at === undefined ? "" : DATA.places[r.at];
    const by = element("button", { class: "link", onclick: () => at(r.step) }, `after ${STEPS[r.step].name}`);
    const to = element("button", { class: "link", onclick: () => go(r) }, place ? `${place[0]}:${place[1]}` : "show");
    return remark(r, element("br"), place ? to : "", " ", by);
  });
}

/** Every value as a line of text, in order, in frames as lists in lists; of very many, the first. */
function listed(step, marks, go) {
  const lists = new Map([["", element("ol", { class: "values" })]]);
  const list = (frame) => {
    if (!lists.has(frame)) {
      const record = step.frames.get(frame);
      const inner = element("ol", { class: "values" });
      lists.set(frame, inner);
      list(record.frame ?? "").append(element("li", {}, element("b", {}, record.label), inner));
    }
    return lists.get(frame);
  };
  for (const [key, record] of [...step.nodes].slice(0, LISTED)) {
    const mark = marks.added.has(key) ? "added" : marks.replaced.has(key) ? "replaced" : "";
    list(record.frame ?? "").append(element("li", {}, link(key, line(key, record), go, mark), mark ? ` ${mark}` : ""));
  }
  const rest = step.nodes.size - LISTED;
  return rest > 0 ? [lists.get(""), element("p", {}, `and ${rest.toLocaleString("en")} more, which search finds`)] : [lists.get("")];
}

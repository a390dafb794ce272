// The page: panes, panel, slider and keys, joined.
const $ = (id) => document.getElementById(id);
const state = { at: 0, selected: null, compare: false };
const panes = { before: new Pane($("before"), "before", select), after: new Pane($("after"), "after", select) };
const search = new Search($("search"), $("found"), (key) => {
  go(key);
  panes.after.focus(key);
});

$("title").textContent = DATA.title;
document.title = `${DATA.title} · rnnc view`;

function current() {
  return STEPS[state.at];
}

function fill(id, children) {
  $(id).querySelector(":scope > div").replaceChildren(...children);
}

/** Select a value, or nothing, and tell of it. */
function select(key, pane = null) {
  state.selected = key;
  for (const p of Object.values(panes)) {
    p.select(key);
    if (p !== pane && key !== null) p.reveal(key);
  }
  tell();
}

function tell() {
  const here = current().nodes.has(state.selected) || state.at === 0 ? current() : STEPS[state.at - 1];
  fill("value", about(here, state.selected, go));
  if (state.selected !== null) $("value").open = true;
}

/** Select a value and bring it into sight. */
function go(key) {
  if (!current().nodes.has(key) && STEPS[state.at - 1]?.nodes.has(key) && !state.compare) compare(true);
  select(key);
}

/** Go to the first value that a remark is on, in the step where it was made or, if need be, any other. */
function toRemark(r) {
  const on = (step) => [...step.nodes].find(([key, record]) => remarksOn(key, record).includes(r))?.[0];
  const order = [current(), STEPS[r.step], STEPS[r.step - 1], ...STEPS].filter(Boolean);
  const step = order.find((s) => on(s) !== undefined);
  if (step) show(step.number).then(() => go(on(step)));
}

/** Show a step. */
async function show(at) {
  state.at = Math.min(Math.max(at, 0), STEPS.length - 1);
  const step = current();
  const before = STEPS[state.at - 1];
  $("slider").value = state.at;
  const did = !before ? `${step.nodes.size} values` : step.edits.length
    ? `${step.edits.length} edits: ${["added", "replaced", "erased"].map((m) => `${step.marks[m].size} ${m}`).join(", ")}` : "changed nothing";
  $("slider").setAttribute("aria-valuetext", `${state.at} of ${STEPS.length - 1}, ${step.name}: ${did}`);
  $("step").replaceChildren(element("b", {}, step.name), ` ${state.at}/${STEPS.length - 1}`, element("br"), did);
  [...$("ticks").children].forEach((tick, i) => tick.classList.toggle("now", i === state.at));
  $("summary").textContent = [DATA.summary, `${step.nodes.size} values`].filter(Boolean).join(" · ");
  search.step = step;
  fill("changes", changes(step, before, go));
  list();
  tell();
  panes.after.heading.textContent = state.compare && before ? `after: ${step.name}` : step.name;
  panes.before.heading.textContent = before ? `before: ${before.name}` : "";
  $("before").hidden = !state.compare || !before;
  const shown = [panes.after.show(step, state.selected)];
  if (!$("before").hidden) shown.push(panes.before.show(before, state.selected));
  await Promise.all(shown);
  const next = STEPS.slice(state.at + 1).find((s) => s.edits.length);
  if (next && state.at === step.number) layout(next, state.selected).catch(() => {}); // ahead of its time
}

function list() {
  if ($("list").open) fill("list", listed(current(), current().marks, go));
}

function compare(yes) {
  state.compare = yes;
  $("compare").setAttribute("aria-pressed", String(yes));
  return show(state.at).then(() => state.selected !== null && Object.values(panes).forEach((p) => p.reveal(state.selected)));
}

/** The next pass that changed something, that way. */
function hop(by) {
  let at = state.at + by;
  while (STEPS[at] && at > 0 && !STEPS[at].edits.length) at += by;
  if (STEPS[at]) show(at);
}

function panel(yes) {
  $("aside").hidden = !yes;
  $("side").setAttribute("aria-pressed", String(yes));
}

function dark() {
  const chosen = document.documentElement.style.colorScheme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function theme(flip) {
  if (flip) document.documentElement.style.colorScheme = dark() ? "light" : "dark";
  $("theme").textContent = dark() ? "Light" : "Dark";
}

function keys(yes) {
  $("keys").hidden = !yes;
  $("help").setAttribute("aria-expanded", String(yes));
}

function escape() {
  if (!$("keys").hidden) keys(false);
  else select(null);
}

const KEYS = {
  "/": () => ($("search").focus(), $("search").select()),
  ",": () => hop(-1), ".": () => hop(1),
  b: () => STEPS.length > 1 && compare(!state.compare),
  p: () => panel($("aside").hidden), t: () => theme(true), "?": () => keys($("keys").hidden), Escape: escape,
};

document.addEventListener("keydown", (e) => {
  if (e.defaultPrevented || e.altKey || e.ctrlKey || e.metaKey || !KEYS[e.key]) return;
  if (e.target.matches("input[type=search]")) return;
  e.preventDefault();
  KEYS[e.key]();
});

$("slider").max = STEPS.length - 1;
$("slider").addEventListener("input", () => show(Number($("slider").value)));
$("back").addEventListener("click", () => hop(-1));
$("forth").addEventListener("click", () => hop(1));
$("compare").addEventListener("click", () => compare(!state.compare));
$("side").addEventListener("click", () => panel($("aside").hidden));
$("theme").addEventListener("click", () => theme(true));
$("help").addEventListener("click", () => keys($("keys").hidden));
$("list").addEventListener("toggle", list);
$("ticks").append(...STEPS.map((s) => element("i", { class: s.edits.length || !s.number ? "changed" : "" })));
fill("remarks", remarks(toRemark, show));
$("remarks").querySelector("summary").append(` (${DATA.remarks.length})`);
if (STEPS.length === 1) for (const id of ["steps", "changes", "compare", "remarks"]) $(id).hidden = true;
document.body.append(tips());
theme(false);
show(0).then(() => document.body.setAttribute("data-ready", ""));

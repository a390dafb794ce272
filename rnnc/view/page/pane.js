// Panes: a picture of one step each, with a camera. What is selected in one is in the other, too.
const ANIMATED = 500; // more boxes than this change places at once
const calm = matchMedia("(prefers-reduced-motion: reduce)");

class Pane {
  constructor(section, side, select) {
    Object.assign(this, { section, side, step: null, drawn: null, geometry: null, selected: null, turn: 0 });
    this.heading = element("h2");
    this.notice = element("p", { class: "notice", role: "status" });
    this.root = shape("g", {});
    this.svg = shape("svg", { tabindex: 0, role: "group", "aria-label": "Graph; the list of all values says the same" }, this.root);
    this.camera = new Camera(this.svg, this.root);
    const button = (text, title, act) => element("button", { title, "aria-label": title, onclick: act }, text);
    this.buttons = element("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      button("+", "Closer", () => this.camera.zoom(1.25)), button("−", "Farther", () => this.camera.zoom(0.8)),
      button("⤢", "All of it", () => this.camera.fit()));
    section.append(this.heading, this.svg, this.buttons, this.notice);
    this.svg.addEventListener("click", (e) => {
      if (this.camera.moved) return;
      select(e.target.closest("[data-key]")?.dataset.key ?? null, this);
    });
    this.svg.addEventListener("focusin", (e) => {
      const box = this.geometry?.boxes.get(e.target.dataset?.key);
      if (box && e.target.matches(":focus-visible")) this.camera.reveal(box);
    });
    this.svg.addEventListener("keydown", (e) => this.key(e, select));
  }

  get hidden() {
    return this.section.hidden;
  }

  /** Show a step; boxes that stay move from where they were. */
  async show(step, centre = null) {
    const turn = ++this.turn;
    this.section.setAttribute("aria-busy", "true");
    const waiting = setTimeout(() => this.tell("Laying out the graph…"), 300);
    let geometry = null;
    let problem = "";
    await idle(); // whoever drags the slider over many steps wants only the last
    if (turn === this.turn) geometry = await layout(step, centre).catch((error) => (problem = error.message, null));
    clearTimeout(waiting);
    if (turn !== this.turn) return;
    this.section.removeAttribute("aria-busy");
    if (!geometry) {
      this.drawn?.layer.remove();
      Object.assign(this, { step: null, geometry: null, drawn: null });
      this.tell(`This graph could not be laid out (${problem}). The list has all its values.`);
      return;
    }
    const last = this.geometry;
    const anchor = last && this.camera.held ? this.anchor(last, geometry) : null;
    const shift = anchor !== null && this.camera.onScreen(...middle(last.boxes.get(anchor)));
    this.drawn?.layer.remove();
    const marks = this.side === "before" ? STEPS[step.number + 1]?.marks ?? NONE : step.marks;
    const drawn = draw(step, geometry, (key) => marked(marks, key, this.side));
    this.root.append(drawn.layer);
    Object.assign(this, { step, geometry, drawn });
    this.camera.resize(geometry.width, geometry.height, first(step, geometry.boxes), drawn.tiles);
    if (shift) this.camera.put(...middle(geometry.boxes.get(anchor)), shift);
    else this.camera.fit(true);
    if (last) this.animate(last, geometry, drawn);
    const part = geometry.whole > geometry.boxes.size;
    this.tell(part ? `${geometry.boxes.size} of ${geometry.whole.toLocaleString("en")} values are drawn: those around ${centre ?? "the first"}. Search for another.` : "");
    this.select(this.selected);
  }

  tell(text) {
    this.notice.textContent = text;
    this.notice.hidden = !text;
  }

  /** The box to keep where it is: the selected one, else the one nearest to the middle that is in both. */
  anchor(last, next) {
    if (last.boxes.has(this.selected) && next.boxes.has(this.selected)) return this.selected;
    const { width, height } = this.camera.view;
    let [best, least] = [null, Infinity];
    for (const [key, box] of last.boxes) {
      if (!next.boxes.has(key)) continue;
      const [x, y] = this.camera.onScreen(...middle(box));
      const far = Math.hypot(x - width / 2, y - height / 2);
      if (far < least) [best, least] = [key, far];
    }
    return best;
  }

  animate(last, next, drawn) {
    if (next.boxes.size > ANIMATED || calm.matches) return;
    const timing = { duration: 350, easing: "ease-in-out" };
    const anchor = this.anchor(last, next);
    const [ox, oy] = anchor === null ? [0, 0] : middle(last.boxes.get(anchor)).map((v, i) => middle(next.boxes.get(anchor))[i] - v);
    for (const [key, group] of drawn.nodes) {
      const was = last.boxes.get(key);
      const now = next.boxes.get(key);
      if (was) group.animate([{ transform: `translate(${was.x + ox}px,${was.y + oy}px)` }, { transform: `translate(${now.x}px,${now.y}px)` }], timing);
      else group.animate([{ opacity: 0 }, { opacity: 1 }], timing);
    }
    drawn.layer.querySelectorAll(".edges, .frames").forEach((g) => g.animate([{ opacity: 0 }, { opacity: 0 }, { opacity: 1 }], timing));
  }

  /** Mark a value as selected, and the edges at it. */
  select(key) {
    this.selected = key;
    if (!this.drawn) return;
    for (const old of this.drawn.layer.querySelectorAll(".selected, .touched")) old.classList.remove("selected", "touched");
    this.drawn.nodes.get(key)?.classList.add("selected");
    for (const small of this.drawn.layer.querySelectorAll(".chip")) {
      if (small.dataset.key === key) small.classList.add("selected");
    }
    for (const edge of this.drawn.edges.get(key) ?? []) {
      edge.classList.add("touched");
      edge.parentNode.append(edge); // above the others
    }
  }

  /** Bring a value into sight; where it is not a box, the one that reads it. */
  async reveal(key) {
    if (!this.step || this.hidden) return;
    if (!this.geometry.boxes.has(key) && this.geometry.whole > this.geometry.boxes.size && this.step.nodes.has(key)) await this.show(this.step, key);
    const at = this.geometry.boxes.has(key) ? key : (users(this.step).get(key) ?? []).find((user) => this.geometry.boxes.has(user));
    if (at !== undefined) this.camera.reveal(this.geometry.boxes.get(at));
  }

  focus(key) {
    this.drawn?.nodes.get(key)?.focus({ preventScroll: true });
  }

  key(e, select) {
    if (e.altKey || e.ctrlKey || e.metaKey) return;
    const key = e.target.dataset?.key;
    if (key === undefined) {
      if (this.camera.key(e.key)) e.preventDefault();
      return;
    }
    const way = { ArrowUp: this.up(key), ArrowDown: this.down(key), ArrowLeft: this.beside(e.target, -1), ArrowRight: this.beside(e.target, 1) };
    if (e.key === "Enter" || e.key === " ") select(key, this);
    else if (way[e.key] !== undefined) this.drawn.nodes.get(way[e.key])?.focus();
    else if (!this.camera.key(e.key)) return;
    e.preventDefault();
  }

  up(key) {
    return flow(this.step.nodes.get(key)).map(([from]) => from).find((from) => this.drawn.nodes.has(from)) ?? "";
  }

  down(key) {
    const from = this.geometry.edges.filter((edge) => edge.from === key);
    return (from.find((edge) => !edge.back) ?? from[0])?.to ?? "";
  }

  beside(group, by) {
    const all = [...this.drawn.nodes.keys()];
    return all[all.indexOf(group.dataset.key) + by] ?? "";
  }
}

/** The box to begin with: the uppermost input, or the uppermost of all. */
function first(step, boxes) {
  const inputs = [...boxes].filter(([key]) => step.nodes.get(key).kind === "input" && !step.nodes.get(key).frame);
  const [found] = [...(inputs.length ? inputs : boxes)].sort((a, b) => a[1].y - b[1].y);
  return found ? found[1] : { x: 0, y: 0, w: 0 };
}

function middle(box) {
  return [box.x + box.w / 2, box.y + box.h / 2];
}

function marked(marks, key, side) {
  if (side === "before") return marks.erased.has(key) ? "erased" : marks.replaced.has(key) ? "replaced" : "";
  return marks.added.has(key) ? "added" : marks.replaced.has(key) ? "replaced" : "";
}

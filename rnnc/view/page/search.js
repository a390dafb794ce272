// Search: values by name, op, type or source text, in the step that is shown. The box is a combobox with a list.
const MOST = 40;

class Search {
  constructor(input, list, go) {
    Object.assign(this, { input, list, go, step: null, found: [], at: -1 });
    input.addEventListener("input", () => this.look());
    input.addEventListener("focus", () => this.look());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (e) => this.key(e));
    list.addEventListener("pointerdown", (e) => {
      e.preventDefault(); // the box keeps the focus
      const option = e.target.closest("[role=option]");
      if (option) this.choose(Number(option.dataset.at));
    });
  }

  /** The keys that fit a text, best first. */
  match(text) {
    const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
    if (!wanted.length) return [];
    const scored = [];
    for (const [key, record] of this.step.nodes) {
      const name = named(key, record).toLowerCase();
      const all = [key, record.op, record.type, record.label ?? "", ...(record.ends ?? []), ...source(record)].join("\n").toLowerCase();
      if (!wanted.every((word) => all.includes(word))) continue;
      const score = name === wanted[0] ? 0 : name.startsWith(wanted[0]) ? 1 : name.includes(wanted[0]) ? 2 : 3;
      scored.push([score, key]);
    }
    return scored.sort((a, b) => a[0] - b[0]).map(([, key]) => key);
  }

  look() {
    const all = this.match(this.input.value);
    this.found = all.slice(0, MOST);
    this.at = this.found.length ? 0 : -1;
    this.list.replaceChildren(...this.found.map((key, i) => {
      const record = this.step.nodes.get(key);
      return element("li", { role: "option", id: `found${i}`, "data-at": i, "aria-selected": String(i === 0) },
        element("b", {}, titled(key, record)), ` ${line(key, record)}`);
    }));
    if (all.length > MOST) this.list.append(element("li", { class: "rest" }, `and ${all.length - MOST} more`));
    if (this.input.value && !all.length) this.list.append(element("li", { class: "rest" }, "nothing found"));
    this.open(Boolean(this.input.value));
    if (this.input.value) say(`${all.length} values found`);
  }

  open(yes) {
    this.list.hidden = !yes;
    this.input.setAttribute("aria-expanded", String(yes));
    if (yes && this.at >= 0) this.input.setAttribute("aria-activedescendant", `found${this.at}`);
    else this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    this.open(false);
  }

  point(to) {
    if (!this.found.length) return;
    const options = this.list.querySelectorAll("[role=option]");
    options[this.at]?.setAttribute("aria-selected", "false");
    this.at = (to + this.found.length) % this.found.length;
    options[this.at].setAttribute("aria-selected", "true");
    options[this.at].scrollIntoView({ block: "nearest" });
    this.open(true);
  }

  choose(at) {
    if (this.found[at] === undefined) return;
    this.close();
    this.go(this.found[at]);
  }

  key(e) {
    if (e.key === "ArrowDown") this.point(this.at + 1);
    else if (e.key === "ArrowUp") this.point(this.at - 1);
    else if (e.key === "Enter") this.choose(this.at);
    else if (e.key === "Escape") {
      this.input.value = "";
      this.close();
      this.input.blur();
    } else return;
    e.preventDefault();
    e.stopPropagation();
  }
}

/** The lines of source that a value comes from. */
function source(record) {
  return (record.at ?? []).map((at) => {
    const [file, first] = DATA.places[at];
    return DATA.sources[file]?.[first] ?? "";
  });
}

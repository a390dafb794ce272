// The camera: which part of a picture is seen. Dragging and arrows move it; the wheel, two fingers, + and - zoom.
const CLOSEST = 3;
const NEAR = 0.55; // the scale from which all texts are drawn
const FAR = 0.22; // the scale from which names are
const LEAST = 0.3; // the scale at which a large picture is first seen, in part
const EDGE = 44; // pixels above and below, for what lies over the picture
const STEP = 80; // pixels that an arrow key moves

class Camera {
  constructor(svg, layer) {
    Object.assign(this, { svg, layer, start: { x: 0, y: 0, w: 0 }, tiles: [], x: 0, y: 0, scale: 1, width: 1, height: 1, due: false, pointers: new Map(), held: false });
    new ResizeObserver(() => this.held || this.fit(true)).observe(svg);
    svg.addEventListener("wheel", (e) => this.wheel(e), { passive: false });
    svg.addEventListener("pointerdown", (e) => this.down(e));
    svg.addEventListener("pointermove", (e) => this.move(e));
    for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, (e) => this.up(e));
  }

  /** The picture is now as large as this, begins at the box ``start``, and has these tiles. */
  resize(width, height, start, tiles) {
    Object.assign(this, { width, height, start, tiles });
  }

  /** Draw from now on as the numbers say, once a frame of the screen. */
  apply() {
    if (this.due) return;
    this.due = true;
    requestAnimationFrame(() => {
      this.due = false;
      this.layer.setAttribute("transform", `translate(${this.x} ${this.y}) scale(${this.scale})`);
      this.svg.classList.toggle("far", this.scale < NEAR);
      this.svg.classList.toggle("farther", this.scale < FAR);
      this.cull();
    });
  }

  /** Texts out of sight cost as much as those in sight, and so are left out. */
  cull() {
    const { width, height } = this.view;
    const [left, top] = [-this.x / this.scale, -this.y / this.scale];
    const [right, bottom] = [left + width / this.scale, top + height / this.scale];
    for (const t of this.tiles) {
      t.group.classList.toggle("off", t.right < left || t.left > right || t.bottom < top || t.top > bottom);
    }
  }

  get view() {
    return this.svg.getBoundingClientRect();
  }

  /** All of the picture, or as much as can still be read of it, from its top. */
  fit(readable = false) {
    const { width, height } = this.view;
    if (!width) return;
    const all = Math.min((width - 24) / this.width, (height - 2 * EDGE) / this.height, 1.2);
    this.scale = readable ? Math.max(all, Math.min(0.6, (width - 24) / this.width), LEAST) : Math.max(all, 0.01);
    // Where it is larger than the view, its beginning is in the middle, or its edge at the view's.
    const along = (view, size, start, edge) => (size <= view - 2 * edge ? (view - size) / 2
      : Math.min(edge, Math.max(view - edge - size, view / 2 - start)));
    const { x, y, w } = this.start;
    this.x = along(width, this.width * this.scale, (x + w / 2) * this.scale, 12);
    this.y = along(height, this.height * this.scale, y * this.scale + height / 2 - EDGE, EDGE);
    this.held = false;
    this.apply();
  }

  zoom(factor, x = this.view.width / 2, y = this.view.height / 2) {
    const scale = Math.min(Math.max(this.scale * factor, 0.01), CLOSEST);
    this.x = x - ((x - this.x) * scale) / this.scale;
    this.y = y - ((y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.held = true;
    this.apply();
  }

  pan(dx, dy) {
    this.held = true;
    this.x += dx;
    this.y += dy;
    this.apply();
  }

  /** Where a point of the picture is on the screen. */
  onScreen(x, y) {
    return [this.x + x * this.scale, this.y + y * this.scale];
  }

  /** Move so that a point of the picture is at that place of the screen. */
  put(x, y, [left, top]) {
    this.x = left - x * this.scale;
    this.y = top - y * this.scale;
    this.apply();
  }

  /** Move, if need be, so that a box is seen, and large enough to be read. */
  reveal(box) {
    const { width, height } = this.view;
    if (this.scale < NEAR) this.zoom(0.9 / this.scale);
    const [x, y] = this.onScreen(box.x, box.y);
    const [right, bottom] = this.onScreen(box.x + box.w, box.y + box.h);
    if (x < 0 || y < 0 || right > width || bottom > height) {
      this.held = true;
      this.put(box.x + box.w / 2, box.y + box.h / 2, [width / 2, height / 2]);
    }
    this.apply();
  }

  wheel(e) {
    e.preventDefault();
    if (e.shiftKey) return this.pan(-(e.deltaX || e.deltaY), 0);
    const { left, top } = this.view;
    const lines = e.deltaMode === 1 ? 16 : 1;
    return this.zoom(Math.exp(-e.deltaY * lines * (e.ctrlKey ? 0.01 : 0.0015)), e.clientX - left, e.clientY - top);
  }

  down(e) {
    if (e.button !== 0) return;
    this.pointers.set(e.pointerId, [e.clientX, e.clientY]);
    this.moved = false;
  }

  move(e) {
    const last = this.pointers.get(e.pointerId);
    if (!last) return;
    const [dx, dy] = [e.clientX - last[0], e.clientY - last[1]];
    if (!this.moved && Math.hypot(dx, dy) < 4) return;
    if (!this.moved) this.svg.setPointerCapture(e.pointerId);
    this.moved = true;
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== e.pointerId).map(([, at]) => at);
      const apart = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
      const { left, top } = this.view;
      this.zoom(apart([e.clientX, e.clientY]) / Math.max(apart(last), 1), other[0] - left, other[1] - top);
    } else {
      this.pan(dx, dy);
    }
    this.pointers.set(e.pointerId, [e.clientX, e.clientY]);
  }

  up(e) {
    this.pointers.delete(e.pointerId);
  }

  /** A key pressed on the picture itself; whether it meant anything. */
  key(name) {
    const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
    if (moves[name]) this.pan(...moves[name]);
    else if (name === "+" || name === "=") this.zoom(1.25);
    else if (name === "-") this.zoom(0.8);
    else if (name === "0") this.fit();
    else return false;
    return true;
  }
}

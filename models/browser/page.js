// The page: its form starts and stops the writing, its table shows the states at work.

import { Stream } from "./stream.js";
import { write } from "./writing.js";

const at = (id) => document.getElementById(id);
const FRAME = 12; // milliseconds of work between two looks at the page

let stopped = false;

/** Run the model for the form, and show what it writes. */
async function run(stream) {
  const prompt = at("prompt").value;
  const count = at("count").valueAsNumber;
  const options = { count, temperature: at("temperature").valueAsNumber, seed: at("seed").valueAsNumber };
  const bytes = [];
  busy(true);
  say(`Writing ${count} bytes …`);
  const start = performance.now();
  let looked = start;
  for await (const byte of write(stream, prompt, options)) {
    bytes.push(byte);
    if (stopped) break;
    if (performance.now() - looked > FRAME) {
      show(stream, prompt, bytes);
      await new Promise(requestAnimationFrame);
      looked = performance.now();
    }
  }
  const how = stopped ? "Stopped after" : "Wrote";
  const seconds = (performance.now() - start) / 1000;
  show(stream, prompt, bytes);
  busy(false);
  const speed = Math.round(bytes.length / seconds).toLocaleString("en");
  say(`${how} ${bytes.length} bytes in ${seconds.toFixed(2)} s, ${speed} a second.`);
}

function busy(now) {
  stopped = false;
  at("write").disabled = now;
  at("stop").disabled = !now;
  at("text").setAttribute("aria-busy", now);
}

const say = (what) => (at("status").textContent = what);

function show(stream, prompt, bytes) {
  const begun = document.createElement("b");
  begun.textContent = prompt;
  at("text").replaceChildren(begun, new TextDecoder().decode(Uint8Array.from(bytes)));
  at("text").scrollTop = at("text").scrollHeight;
  for (const { input } of stream.manifest.states) paint(at(`now-${input}`), stream.states[input].data);
}

/** A state as a picture: a cell for each number, the stronger the further from 0. */
function paint(canvas, values) {
  const style = getComputedStyle(document.documentElement);
  const [low, high] = ["--low", "--high"].map((name) => style.getPropertyValue(name).trim().split(" ").map(Number));
  const most = values.reduce((a, v) => Math.max(a, Math.abs(v)), 0) || 1;
  canvas.width = Math.ceil(Math.sqrt(values.length * 4));
  canvas.height = Math.ceil(values.length / canvas.width);
  const pixels = canvas.getContext("2d").createImageData(canvas.width, canvas.height);
  values.forEach((value, cell) => {
    pixels.data.set([...(value < 0 ? low : high), 255 * Math.sqrt(Math.abs(value) / most)], 4 * cell);
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

/** A row for each state of the manifest. */
function rows(stream) {
  for (const state of stream.manifest.states) {
    const row = at("states").insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = state.name;
    row.append(head);
    const canvas = document.createElement("canvas");
    canvas.id = `now-${state.input}`;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `the values of ${state.name} now`);
    row.insertCell().append(canvas);
    const type = `${state.dtype} [${state.shape.join(", ")}]`;
    const initial = typeof state.initial === "number" ? String(state.initial) : "an array";
    for (const shown of [`${state.output} → ${state.input}`, type, initial]) {
      const code = document.createElement("code");
      code.textContent = shown;
      row.insertCell().append(code);
    }
    paint(canvas, stream.states[state.input].data);
  }
}

at("temperature").addEventListener("input", () => {
  at("chosen").value = at("temperature").valueAsNumber.toFixed(1);
});
at("stop").addEventListener("click", () => (stopped = true));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopped = true;
});

try {
  const stream = await Stream.open("char.onnx");
  rows(stream);
  at("form").addEventListener("submit", (event) => {
    event.preventDefault();
    if (!at("write").disabled) run(stream);
  });
  at("write").disabled = false;
  say("Ready.");
} catch (error) {
  say(`The model cannot be run here: ${error.message}`);
  throw error;
}

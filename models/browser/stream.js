// A step file of rnnc in the browser, run step after step with its states kept between: rnnc.Stream in JavaScript.
//
//     const stream = await Stream.open("char.onnx");
//     const { y } = await stream.push({ x: [65] });
//
// How the states are wired stands in the file itself, in its metadata "rnnc.manifest".

import * as ort from "./ort.wasm.bundle.min.mjs";

ort.env.wasm.numThreads = 1; // more need a page that is isolated from all other origins

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

export class Stream {
  /** Fetch a step file and make it ready to run. */
  static async open(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url} cannot be fetched: ${answer.status} ${answer.statusText}`);
    const file = new Uint8Array(await answer.arrayBuffer());
    return new Stream(await ort.InferenceSession.create(file), manifest(file));
  }

  constructor(session, manifest) {
    if (manifest.form !== "step") throw new Error(`the file is of ${manifest.form} form, not of step form`);
    this.session = session;
    this.manifest = manifest;
    this.reset();
  }

  /** Return to the initial state. */
  reset() {
    const first = (state) => tensor(state, broadcast(state));
    this.states = Object.fromEntries(this.manifest.states.map((s) => [s.input, first(s)]));
  }

  /** Run one step on one value of each input, arrays of numbers by name; the outputs, alike. */
  async push(inputs) {
    const given = this.manifest.inputs.map((i) => [i.name, tensor(i, Array.from(inputs[i.name]))]);
    const found = await this.session.run({ ...Object.fromEntries(given), ...this.states });
    for (const { input, output } of this.manifest.states) this.states[input] = found[output];
    return Object.fromEntries(this.manifest.outputs.map((o) => [o.name, found[o.name].data]));
  }
}

/** A tensor of what the manifest says of it, for a batch of one. */
function tensor({ dtype, shape }, values) {
  const [to, kind] = dtype === "int64" ? [BigInt, BigInt64Array] : [Number, ARRAYS[dtype]];
  if (!kind) throw new Error(`${dtype} is no element type of JavaScript's`);
  return new ort.Tensor(dtype, kind.from(values, to), sizes(shape));
}

const sizes = (shape) => shape.map((size) => (size === "B" ? 1 : size));

/** The initial value of a state in its whole shape: one number everywhere, or an array repeated along some axes. */
function broadcast({ dtype, shape, initial }) {
  const whole = sizes(shape);
  const count = whole.reduce((a, b) => a * b, 1);
  if (!initial.base64) return new Array(count).fill(initial);
  const values = new ARRAYS[dtype](Uint8Array.from(atob(initial.base64), (c) => c.charCodeAt(0)).buffer);
  const own = [...new Array(whole.length - initial.shape.length).fill(1), ...initial.shape];
  return Array.from({ length: count }, (_, place) => {
    let [at, step] = [0, 1];
    for (let axis = whole.length - 1; axis >= 0; axis--) {
      const index = place % whole[axis];
      place = (place - index) / whole[axis];
      if (own[axis] > 1) at += index * step;
      step *= own[axis];
    }
    return values[at];
  });
}

/** What an .onnx file of rnnc says about itself. */
export function manifest(file) {
  for (const [field, entry] of fields(file)) {
    if (field !== 14) continue; // ModelProto.metadata_props
    const { 1: key, 2: value } = Object.fromEntries(fields(entry));
    if (text(key) === "rnnc.manifest") return JSON.parse(text(value));
  }
  throw new Error("the file has no manifest, so its states are not known: write it with rnnc");
}

const text = (bytes) => new TextDecoder().decode(bytes);

/** The fields of a protobuf message that hold bytes: [number, content]. */
function* fields(message) {
  let place = 0;
  const varint = () => {
    for (let [value, scale] = [0, 1]; ; scale *= 128) {
      const byte = message[place++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (place < message.length) {
    const tag = varint();
    const kind = tag % 8;
    if (kind === 2) {
      const length = varint();
      yield [(tag - kind) / 8, message.subarray(place, place + length)];
      place += length;
    } else if (kind === 0) varint();
    else place += kind === 1 ? 8 : 4;
  }
}

// Writing with the character model: one byte after another, drawn from what the model gives. models/writing.py is
// the same in Python, and draws the same bytes.

/** Numbers from 0 to 1, the same in every language for the same seed: Tommy Ettinger's mulberry32. */
export function mulberry32(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The first byte at which the sum of odds passes `chance` of their total; at temperature 0 the likeliest. */
export function draw(logits, temperature, chance) {
  const top = Math.max(...logits);
  if (temperature === 0) return logits.indexOf(top);
  const odds = Array.from(logits, (logit) => Math.exp((logit - top) / temperature));
  const wanted = chance * odds.reduce((a, b) => a + b, 0);
  let sum = 0;
  for (let byte = 0; byte < odds.length; byte++) {
    sum += odds[byte];
    if (sum > wanted) return byte;
  }
  return odds.length - 1;
}

/** The bytes that follow a prompt, one by one. */
export async function* write(stream, prompt, { count, temperature, seed }) {
  const random = mulberry32(seed);
  const name = stream.manifest.inputs[0].name;
  const output = stream.manifest.outputs[0].name;
  stream.reset();
  let logits;
  for (const byte of new TextEncoder().encode(prompt)) logits = (await stream.push({ [name]: [byte] }))[output];
  for (let written = 0; written < count; written++) {
    const byte = draw(logits, temperature, random());
    yield byte;
    logits = (await stream.push({ [name]: [byte] }))[output];
  }
}

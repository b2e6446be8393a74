// The instrument's arithmetic, with no page in it. Everything starts from calibrated logits, never from rounded
// probabilities, so that what is left when the winner is taken away stays exact even when the winner has 99.9999 %.

/** Index of the largest value; the first one of equals, as in NumPy. */
export function argmax(values) {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** log softmax(logits / temperature); the indices in `without` are left out of the sum and get -Infinity. */
export function logSoftmax(logits, temperature, without = []) {
  const out = new Set(without);
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) if (!out.has(i) && logits[i] > top) top = logits[i];
  let sum = 0;
  for (let i = 0; i < logits.length; i++) if (!out.has(i)) sum += Math.exp((logits[i] - top) / temperature);
  const logSum = Math.log(sum);
  return logits.map((z, i) => (out.has(i) ? -Infinity : (z - top) / temperature - logSum));
}

/** The log of the sum of exp(values): the logit of a kind from the logits of its classes. */
export function logSumExp(values) {
  const top = Math.max(...values);
  return top + Math.log(values.reduce((sum, z) => sum + Math.exp(z - top), 0));
}

/** Entropy in nats of exp(logProbs). */
export function entropy(logProbs) {
  let sum = 0;
  for (const logP of logProbs) if (logP > -745) sum -= Math.exp(logP) * logP;
  return sum;
}

/** KL(truth || exp(logProbs)) in nats; `truth` holds probabilities. */
export function klFromTruth(truth, logProbs) {
  let sum = 0;
  truth.forEach((q, i) => {
    if (q > 0) sum += q * (Math.log(q) - logProbs[i]);
  });
  return Math.max(0, sum);
}

/** `probs` without the classes in `without`, renormalised; null when nothing is left to share out. */
export function withoutClasses(probs, without) {
  const out = new Set(without);
  const rest = probs.reduce((sum, p, i) => (out.has(i) ? sum : sum + p), 0);
  return rest > 0 ? probs.map((p, i) => (out.has(i) ? 0 : p / rest)) : null;
}

/** Indices of the `count` largest values, in index order. */
export function largest(values, count) {
  const order = values.map((_, i) => i).sort((a, b) => values[b] - values[a] || a - b);
  return order.slice(0, count).sort((a, b) => a - b);
}

const MIN_LOG10 = -6;

/** Where a probability lies on the bar's scale, 0 to 1. The log scale runs from 0.0001 % to 100 %. */
export function barLength(p, logScale) {
  if (!logScale) return p;
  return p > 0 ? Math.max(0, 1 - Math.log10(p) / MIN_LOG10) : 0;
}

/** A probability as every page writes it; on the log scale small ones keep two significant digits. */
export function percent(p, logScale = false) {
  if (logScale && p > 0 && p < 0.001) {
    if (p < 1e-6) return "< 0.0001 %";
    return `${(100 * p).toFixed(Math.min(6, 1 - Math.floor(Math.log10(100 * p))))} %`;
  }
  if (p > 0 && p < 0.0005) return "< 0.1 %";
  if (p < 1 && p >= 0.9995) return "> 99.9 %";
  return `${(100 * p).toFixed(1)} %`;
}

/** The temperature at a slider position (log10 T), on values that one says aloud: 0.5, 1, 2, 4, 20. */
export function temperatureAt(position, [low, high]) {
  const raw = 10 ** position;
  const step = raw < 1 ? 0.01 : raw < 5 ? 0.05 : raw < 10 ? 0.1 : 0.2;
  return Math.min(high, Math.max(low, Number((Math.round(raw / step) * step).toFixed(2))));
}

/** The next value that an arrow key goes to: always another one, and one that is easily said. */
export function nextTemperature(temperature, up, [low, high]) {
  const below = up ? temperature + 1e-9 : temperature - 1e-9;
  const step = below < 1 ? 0.05 : below < 5 ? 0.1 : below < 10 ? 0.5 : 1;
  const count = up ? Math.floor(below / step) + 1 : Math.ceil(below / step) - 1;
  return Math.min(high, Math.max(low, Number((count * step).toFixed(2))));
}

export function formatTemperature(temperature) {
  return temperature.toFixed(temperature < 9.995 ? 2 : 1);
}

/** Fill `{name}` places of a translated sentence; the values are inserted as text. */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (place, name) => (name in values ? String(values[name]) : place));
}

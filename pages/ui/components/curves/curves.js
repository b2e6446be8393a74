// Curves over the epochs of a run, or over the points of a sweep: grid, references, bands, lines and markers, drawn anew at every change and size.
// What is drawn, and every word, comes from Python; text enters the page through textContent only.

const SVG = "http://www.w3.org/2000/svg";
const DASHES = { solid: "none", dash: "9 6", dot: "2 6" };

/** Streamlit calls this at the first drawing and again whenever the data or the theme changed. */
export default function ({ parentElement, data }) {
  let root = parentElement.querySelector(".kd-curves");
  if (!root) {
    root = document.createElement("div");
    root.className = "kd-curves";
    root.setAttribute("role", "img");
    parentElement.append(root);
  }
  root.setAttribute("aria-label", data.words);
  const draw = () => {
    // Off the page it has no size; what was drawn last stays.
    if (root.clientWidth > 0) root.replaceChildren(picture(data, root), ...note(data));
  };
  draw();
  const resizes = new ResizeObserver(draw);
  resizes.observe(root);
  return () => resizes.disconnect();
}

function node(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** What is being done while there are no curves yet. */
function note(data) {
  if (!data.note) return [];
  const made = document.createElement("p");
  made.className = "note";
  made.textContent = data.note;
  return [made];
}

function picture(data, root) {
  const rem = parseFloat(getComputedStyle(root).fontSize);
  const [width, height] = [Math.max(root.clientWidth, 12 * rem), root.clientHeight];
  const beyond = 0.5 + 0.28 * String(data.ticks.at(-1) ?? "").length; // half of the last number stands past its tick
  const box = { left: 3.3 * rem, right: width - beyond * rem, top: 0.9 * rem, bottom: height - 3.2 * rem };
  const x = (epoch) => box.left + ((box.right - box.left) * epoch) / data.last;
  const y = (value) => {
    const share = (value - data.low) / (data.high - data.low);
    return box.bottom - (box.bottom - box.top) * Math.min(1, Math.max(0, share));
  };
  const svg = node("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  axes(svg, data, box, x, y, rem, width);
  for (const line of data.references) reference(svg, line, box, y(line.value), rem);
  for (const one of data.series) if (one.low) svg.append(one.apart ? bars(one, x, y, rem) : band(one, x, y));
  for (const one of data.series) for (const values of one.seeds) svg.append(thin(one, values, x, y));
  for (const one of data.series) if (!one.apart) svg.append(line(one, x, y));
  for (const one of data.series) {
    const first = one.quiet ? one.epochs.length - 1 : 0;
    for (let i = Math.max(0, first); i < one.epochs.length; i++) svg.append(marker(one, i, x(one.epochs[i]), y(one.mean[i]), rem));
  }
  return svg;
}

function axes(svg, data, box, x, y, rem, width) {
  for (const value of data.grid) {
    svg.append(node("line", { class: "grid", x1: box.left, x2: box.right, y1: y(value), y2: y(value) }));
    const place = { class: "axis", x: box.left - 0.5 * rem, y: y(value), "text-anchor": "end", "dominant-baseline": "central" };
    svg.append(node("text", place, `${value} %`));
  }
  data.ticks.forEach((epoch, i) => {
    const words = data.tick_words?.[i] ?? String(epoch);
    const below = box.bottom + (data.stagger && i % 2 ? 2.3 : 1.2) * rem;
    const half = data.stagger ? 0.27 * rem * words.length : 0; // a long name stays within the picture
    const at = Math.min(Math.max(x(epoch), half), width - half);
    svg.append(node("text", { class: "axis", x: at, y: below, "text-anchor": "middle" }, words));
  });
  const middle = (box.left + box.right) / 2;
  svg.append(node("text", { class: "axis", x: middle, y: box.bottom + 2.6 * rem, "text-anchor": "middle" }, data.axis));
}

function reference(svg, line, box, at, rem) {
  const style = { class: "reference", stroke: line.colour, "stroke-dasharray": DASHES[line.dash] };
  svg.append(node("line", { ...style, x1: box.left, x2: box.right, y1: at, y2: at }));
  const place = line.above
    ? { x: box.right, y: at - 0.35 * rem, "text-anchor": "end" }
    : { x: box.left + 0.3 * rem, y: at + 1.15 * rem };
  svg.append(node("text", place, line.words));
}

function points(epochs, values, x, y) {
  return epochs.map((epoch, i) => `${x(epoch).toFixed(1)},${y(values[i]).toFixed(1)}`);
}

function band(one, x, y) {
  const around = [...points(one.epochs, one.high, x, y), ...points(one.epochs, one.low, x, y).reverse()];
  return node("polygon", { class: "band", points: around.join(" "), fill: one.colour });
}

/** An interval at each point, where a band would join what has no order. */
function bars(one, x, y, rem) {
  const end = 0.3 * rem;
  const parts = one.epochs.map((epoch, i) => {
    const [at, low, high] = [x(epoch), y(one.low[i]), y(one.high[i])];
    return `M${at} ${low}V${high}M${at - end} ${low}h${2 * end}M${at - end} ${high}h${2 * end}`;
  });
  return node("path", { class: "bar", d: parts.join(""), stroke: one.colour });
}

/** One seed, where there are too few for a band. */
function thin(one, values, x, y) {
  return node("polyline", { class: "thin", points: points(one.epochs, values, x, y).join(" "), stroke: one.colour });
}

function line(one, x, y) {
  const along = points(one.epochs, one.mean, x, y).join(" ");
  const style = { class: one.quiet ? "line quiet" : "line", stroke: one.colour, "stroke-dasharray": DASHES[one.dash] };
  return node("polyline", { ...style, points: along, "data-arm": one.arm });
}

/** An outline of two crossing bars. */
function cross(cx, cy, r) {
  const w = 0.4 * r;
  const corners = [[-r, w - r], [w - r, -r], [0, -w], [r - w, -r], [r, w - r], [w, 0], [r, r - w], [r - w, r], [0, w], [w - r, r], [-r, r - w], [-w, 0]];
  return `M${corners.map(([dx, dy]) => `${cx + dx} ${cy + dy}`).join("L")}z`;
}

/** A mark of the arm's shape; under the pointer it says its numbers. */
function marker(one, index, cx, cy, rem) {
  const r = 0.32 * rem;
  const outline = {
    circle: `M${cx - r} ${cy}a${r} ${r} 0 1 0 ${2 * r} 0a${r} ${r} 0 1 0 ${-2 * r} 0z`,
    square: `M${cx - r} ${cy - r}h${2 * r}v${2 * r}h${-2 * r}z`,
    diamond: `M${cx} ${cy - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}z`,
    x: cross(cx, cy, r),
    "triangle-up": `M${cx} ${cy - 1.3 * r}l${1.3 * r} ${2.3 * r}h${-2.6 * r}z`,
  }[one.marker];
  const made = node("path", { d: outline, fill: one.colour });
  made.append(node("title", {}, one.says[index]));
  return made;
}

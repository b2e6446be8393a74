// Small parts of the instrument that hold no state: elements, groups, frames on a canvas.

function el(tag, className, attributes = {}, children = []) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function entryOf(name, members, shown, truth, logProbs, gone, top) {
  const sum = (values) => members.reduce((total, i) => total + values[i], 0);
  // Rows are ranked with the winner in, so that nothing moves when the lights go off.
  const rank = members.length === 1 ? Math.exp(logProbs[members[0]]) : members.reduce((s, i) => s + Math.exp(logProbs[i]), 0);
  return { name, p: sum(shown), truth: truth ? sum(truth) : null, rank, gone, top, count: members.length };
}

/** Superclasses in the order in which the classes name them; null when there are none to show. */
function groupsOf(superclasses) {
  if (!superclasses) return null;
  const groups = new Map();
  superclasses.forEach((name, i) => groups.set(name, [...(groups.get(name) ?? []), i]));
  return groups.size > 1 && groups.size < superclasses.length
    ? [...groups].map(([name, members]) => ({ name, members })) : null;
}

function isDark(node) {
  const text = getComputedStyle(node).getPropertyValue("--st-background-color").trim();
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = text || "#fff";
  probe.fillRect(0, 0, 1, 1);
  const [r, g, b] = probe.getImageData(0, 0, 1, 1).data;
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 128;
}

/** Draw one frame of a sheet, whole and centred; `smooth` for the eye, square pixels for what a network sees. */
function drawFrame(canvas, sheet, frame, smooth) {
  if (!sheet || !canvas.clientWidth) return;
  const { image, columns, width, height, frames } = sheet;
  const scale = window.devicePixelRatio || 1;
  canvas.style.aspectRatio = `${width} / ${height}`;
  canvas.style.setProperty("--ratio", width / height);
  const wide = Math.round(canvas.clientWidth * scale);
  const high = Math.round(canvas.clientHeight * scale);
  if (canvas.width !== wide || canvas.height !== high) {
    canvas.width = wide;
    canvas.height = high;
  }
  const i = Math.min(frame, frames - 1);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = smooth;
  context.imageSmoothingQuality = "high";
  context.drawImage(image, (i % columns) * width, Math.floor(i / columns) * height, width, height, 0, 0, wide, high);
}

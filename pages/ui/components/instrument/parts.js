// Small parts of the instrument that hold no state: elements, frames on a canvas.

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

// The instrument: a picture, and what a teacher says about it. Python sends the logits of every frame once; from then
// on the hand is followed here, in one animation frame. Python hears a value when it is let go.
// Text enters the page through textContent only.

const instances = new WeakMap();

/** Streamlit calls this at the first drawing and again whenever the data or the theme changed. */
export default function ({ parentElement, data, setStateValue }) {
  let instance = instances.get(parentElement);
  if (!instance) {
    instance = new Instrument(parentElement, data);
    instances.set(parentElement, instance);
  }
  instance.report = setStateValue;
  instance.receive(data);
  return () => {
    instance.dispose();
    instances.delete(parentElement);
  };
}

class Instrument {
  constructor(parent, data) {
    this.parent = parent;
    // What the hand has set. It belongs to this instance: data that arrives later never moves it.
    this.hand = { temperature: data.temperature, frame: data.frame, off: false, log: false, sort: false, all: false, super: false };
    this.abort = new AbortController();
    this.rows = new Map();
    this.build();
    parent.append(this.root);
    this.listen();
    this.resizes = new ResizeObserver(() => this.drawPicture());
    this.resizes.observe(this.picture);
  }

  // --- the page

  build() {
    this.lead = el("p", "lead");
    this.picture = el("canvas", "picture", { role: "img", "data-testid": "kd-picture" });
    this.sees = el("canvas", "sees", { role: "img", "data-testid": "kd-sees" });
    this.seesText = el("span");
    this.seesBox = el("div", "sees-box", {}, [this.sees, this.seesText]);
    this.morph = el("input", "", { type: "range", min: 0, step: 1, "data-testid": "kd-morph" });
    this.morphText = el("span");
    this.morphStops = el("div", "stops", { "aria-hidden": "true" });
    this.morphBox = el("div", "slider", {}, [el("label", "", {}, [this.morphText, this.morph]), this.morphStops]);
    this.caption = el("p", "caption");
    this.hardText = el("span", "mute");
    this.hard = el("span", "hard", { "data-testid": "kd-hard-label" });
    this.lights = el("button", "lights", { type: "button", "data-testid": "kd-lights" });
    this.bars = el("div", "bars", { role: "list", "data-testid": "kd-bars" });
    this.ticks = el("div", "ticks");
    this.axis = el("div", "row axis", { "aria-hidden": "true" }, [el("span"), this.ticks, el("span")]);
    this.legend = el("span", "legend");
    this.tools = {};
    for (const name of ["sort", "log", "super", "all"]) {
      this.tools[name] = el("button", "tool", { type: "button", "data-testid": `kd-${name}`, "aria-pressed": "false" });
    }
    this.temperature = el("input", "", { type: "range", step: 0.01, "data-testid": "kd-temperature" });
    this.temperatureText = el("span");
    this.temperatureValue = el("b", "number", { "data-testid": "kd-temperature-value" });
    this.temperatureStops = el("div", "stops", { "aria-hidden": "true" });
    this.facts = {};
    const facts = ["entropy", "dark", "kl"].map((name) => {
      this.facts[name] = { value: el("b", "number", { "data-testid": `kd-${name}` }), text: el("span") };
      this.facts[name].box = el("div", "", {}, [this.facts[name].value, this.facts[name].text]);
      return this.facts[name].box;
    });
    this.note = el("p", "note");
    this.live = el("div", "unseen", { role: "status", "aria-live": "polite", "data-testid": "kd-live" });
    this.root = el("div", "kd", { "data-testid": "kd-instrument" }, [
      this.lead,
      el("div", "grid", {}, [
        el("section", "card left", {}, [this.picture, this.morphBox, this.caption, this.seesBox]),
        el("section", "card right", {}, [
          el("div", "head", {}, [el("div", "", {}, [this.hardText, this.hard]), this.lights]),
          this.bars,
          this.axis,
          el("div", "tools", {}, [this.legend, ...Object.values(this.tools)]),
          el("div", "slider", {}, [
            el("label", "", {}, [
              el("span", "", {}, [this.temperatureText, " ", this.temperatureValue]), this.temperature]),
            this.temperatureStops,
          ]),
          el("div", "facts", {}, facts),
          this.note,
        ]),
      ]),
      this.live,
    ]);
  }

  listen() {
    const on = (target, type, handler) => target.addEventListener(type, handler, { signal: this.abort.signal });
    on(this.temperature, "input", () => {
      this.hand.temperature = temperatureAt(Number(this.temperature.value), this.data.temperature_range);
      this.schedule();
    });
    on(this.temperature, "change", () => this.report("temperature", this.hand.temperature));
    on(this.temperature, "keydown", (event) => {
      const up = { ArrowRight: true, ArrowUp: true, ArrowLeft: false, ArrowDown: false }[event.key];
      if (up === undefined) return;
      event.preventDefault();
      this.hand.temperature = nextTemperature(this.hand.temperature, up, this.data.temperature_range);
      this.temperature.value = Math.log10(this.hand.temperature);
      this.schedule();
    });
    on(this.temperature, "keyup", (event) => {
      if (event.key.startsWith("Arrow")) this.report("temperature", this.hand.temperature);
    });
    on(this.morph, "input", () => {
      this.hand.frame = Number(this.morph.value);
      this.schedule();
    });
    on(this.morph, "change", () => this.report("frame", this.hand.frame));
    on(this.lights, "click", () => this.switchLights(!this.hand.off));
    on(document, "keydown", (event) => {
      if (event.key === "Escape" && this.hand.off) this.switchLights(false);
    });
    for (const [name, button] of Object.entries(this.tools)) {
      on(button, "click", () => {
        this.hand[name] = !this.hand[name];
        this.glide();
      });
    }
  }

  dispose() {
    this.abort.abort();
    this.resizes.disconnect();
    cancelAnimationFrame(this.pending);
    clearTimeout(this.speaking);
    clearTimeout(this.gliding);
    if (this.hand.off) document.documentElement.classList.remove("kd-lights-off");
    this.root.remove();
  }

  // --- new data

  receive(data) {
    this.data = data;
    const { texts } = data;
    this.hand.frame = Math.min(Math.max(0, this.hand.frame), data.logits.length - 1);
    this.groups = groupsOf(data.superclasses);
    this.root.style.setProperty("--kd-teacher", data.colours.teacher);
    this.root.style.setProperty("--kd-truth", data.colours.truth);
    this.root.style.setProperty("--kd-glow", data.colours.glow);
    this.root.classList.toggle("night", isDark(this.root));
    this.root.classList.toggle("still", !data.morph);
    this.load("pictureSheet", data.picture);
    this.load("seesSheet", data.sees);
    this.lead.hidden = !data.lead;
    write(this.caption, data.caption);
    this.caption.hidden = !data.caption;
    this.seesBox.hidden = !data.sees;
    write(this.seesText, texts.sees);
    write(this.hardText, texts.hard_label);
    write(this.temperatureText, texts.temperature);
    write(this.facts.entropy.text, texts.entropy);
    write(this.facts.dark.text, texts.dark);
    write(this.facts.kl.text, texts.kl);
    this.facts.kl.box.hidden = !data.posterior;
    this.legend.hidden = !data.posterior;
    write(this.legend, texts.truth);
    write(this.tools.sort, texts.sort);
    write(this.tools.log, texts.log);
    write(this.tools.super, texts.superclasses);
    this.tools.super.hidden = !this.groups;
    this.tools.all.hidden = data.class_names.length <= data.top;
    this.temperature.min = Math.log10(data.temperature_range[0]).toFixed(2);
    this.temperature.max = Math.log10(data.temperature_range[1]).toFixed(2);
    if (!this.received) this.temperature.value = Math.log10(this.hand.temperature);
    this.setStops(this.temperatureStops, [0.2, 0.5, 1, 2, 4, 10, 20].map((value) => ({
      name: String(value),
      at: (Math.log10(value) - Number(this.temperature.min)) / (Number(this.temperature.max) - Number(this.temperature.min)),
    })));
    this.setStops(this.ticks, [0.0001, 0.01, 1, 100].map((share) => ({ name: `${share} %`, at: barLength(share / 100, true) })));
    this.morphBox.hidden = !data.morph;
    if (data.morph) {
      write(this.morphText, data.morph.label);
      this.morph.max = data.logits.length - 1;
      if (!this.received) this.morph.value = this.hand.frame;
      this.setStops(this.morphStops, data.morph.stops.map(({ name, frame }) => ({
        name, at: frame / (data.logits.length - 1) })));
    }
    this.received = true;
    this.paint();
  }

  setStops(box, stops) {
    box.replaceChildren(...stops.map(({ name, at }) => {
      const stop = el("span");
      stop.style.setProperty("--at", at);
      write(stop, name);
      return stop;
    }));
  }

  /** Decode a sheet of frames; the old one stays on screen until the new one is ready. */
  load(slot, sheet) {
    if (!sheet || this[slot]?.url === sheet.url) return;
    const image = new Image();
    image.src = sheet.url;
    image.decode().then(() => {
      this[slot] = { ...sheet, image };
      this.drawPicture();
    }).catch(() => {});
  }

  // --- the hand

  schedule() {
    this.since ??= performance.now();
    this.pending ??= requestAnimationFrame(() => this.paint());
  }

  switchLights(off) {
    this.hand.off = off;
    document.documentElement.classList.toggle("kd-lights-off", off);
    this.glide();
  }

  /** Paint with the bars gliding to their new lengths; a drag paints without, so that they stick to the hand. */
  glide() {
    this.root.classList.add("gliding");
    clearTimeout(this.gliding);
    this.gliding = setTimeout(() => this.root.classList.remove("gliding"), 600);
    this.schedule();
  }

  // --- painting

  paint() {
    const { data, hand } = this;
    this.pending = null;
    const logits = data.logits[hand.frame];
    const winner = argmax(logits);
    const logProbs = logSoftmax(logits, hand.temperature);
    const shown = (hand.off ? logSoftmax(logits, hand.temperature, winner) : logProbs).map(Math.exp);
    const posterior = data.posterior && data.posterior[hand.frame];
    const truth = posterior && (hand.off ? withoutClass(posterior, winner) : posterior);
    const grouped = hand.super && this.groups;
    const entries = grouped
      ? this.groups.map((group) => entryOf(group.name, group.members, shown, truth, logProbs, hand.off && group.members.length === 1 && group.members[0] === winner, group.members.includes(winner)))
      : data.class_names.map((name, i) => entryOf(name, [i], shown, truth, logProbs, hand.off && i === winner, i === winner));
    const kept = hand.all || entries.length <= data.top ? entries.map((_, i) => i) : largest(entries.map((e) => e.rank), data.top);
    if (hand.sort) kept.sort((a, b) => entries[b].rank - entries[a].rank || a - b);
    this.paintRows(kept.map((i) => entries[i]), entries.length - kept.length);
    this.paintWords(winner, logProbs, posterior);
    this.drawPicture();
    this.root.dataset.paints = Number(this.root.dataset.paints || 0) + 1;
    if (this.since !== undefined) this.root.dataset.paintMs = (performance.now() - this.since).toFixed(2);
    this.since = undefined;
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => this.speak(entries), 500);
  }

  paintRows(entries, left) {
    const { texts } = this.data;
    if (left > 0) {
      const p = Math.max(0, 1 - entries.reduce((sum, entry) => sum + entry.p, 0));
      entries.push({ name: fill(texts.others, { count: left }), p, truth: null, rest: true });
    }
    const order = entries.map((entry) => {
      const id = entry.rest ? "rest" : `${this.hand.super ? "super" : "class"}:${entry.name}`;
      const row = this.rows.get(id) ?? this.addRow(id);
      row.box.dataset.class = entry.rest ? "" : entry.name;
      row.box.dataset.p = String(entry.p);
      row.box.classList.toggle("rest", Boolean(entry.rest));
      row.box.classList.toggle("top", Boolean(entry.top));
      row.box.classList.toggle("gone", Boolean(entry.gone));
      row.bar.style.width = `${100 * barLength(entry.gone ? 0 : entry.p, this.hand.log)}%`;
      row.truth.hidden = entry.truth === null || entry.gone;
      if (entry.truth !== null) row.truth.style.left = `${100 * barLength(entry.truth, this.hand.log)}%`;
      write(row.name, entry.count > 1 ? `${entry.name} (${entry.count})` : entry.name);
      write(row.value, entry.gone ? texts.hidden : percent(entry.p, this.hand.log));
      return row.box;
    });
    const now = this.bars.children;
    if (now.length !== order.length || order.some((box, i) => now[i] !== box)) this.bars.replaceChildren(...order);
    this.root.classList.toggle("dense", entries.length > 8);
    this.root.classList.toggle("many", entries.length > 20);
    const longest = Math.max(...entries.map((e) => e.name.length + (e.count > 1 ? ` (${e.count})`.length : 0)));
    this.root.style.setProperty("--kd-name", `${Math.min(19, Math.max(4, longest))}ch`);
  }

  addRow(id) {
    const row = { name: el("span", "name"), bar: el("div", "bar"), truth: el("i", "truth"), value: el("span", "value number") };
    row.box = el("div", "row", { role: "listitem", "data-testid": id === "rest" ? "kd-rest" : "kd-row" }, [
      row.name, el("div", "track", {}, [row.bar, row.truth]), row.value]);
    this.rows.set(id, row);
    return row;
  }

  paintWords(winner, logProbs, posterior) {
    const { data, hand } = this;
    const { texts } = data;
    this.root.classList.toggle("off", hand.off);
    this.root.classList.toggle("logscale", hand.log);
    for (const name of Object.keys(this.tools)) this.tools[name].setAttribute("aria-pressed", String(hand[name]));
    if (data.lead) write(this.lead, hand.off ? data.lead.off : data.lead.on);
    write(this.lights, hand.off ? texts.lights_on : texts.lights_off);
    const name = data.class_names[winner];
    if (this.hard.textContent !== name) {
      const first = this.hard.textContent === "";
      write(this.hard, name);
      if (!first) this.hard.animate([{ transform: "scale(1.18)" }, { transform: "none" }], { duration: 220, easing: "ease-out" });
    }
    const classes = hand.super && this.groups ? this.groups.length : data.class_names.length;
    this.tools.all.hidden = classes <= data.top;
    write(this.tools.all, fill(hand.all ? texts.fewer : texts.all, { count: hand.all ? data.top : classes }));
    write(this.temperatureValue, `T = ${formatTemperature(hand.temperature)}`);
    this.temperature.setAttribute("aria-valuetext", `T = ${formatTemperature(hand.temperature)}`);
    write(this.facts.entropy.value, entropy(logProbs).toFixed(2));
    write(this.facts.dark.value, percent(logProbs.reduce((sum, logP, i) => (i === winner ? sum : sum + Math.exp(logP)), 0)));
    if (posterior) write(this.facts.kl.value, klFromTruth(posterior, logProbs).toFixed(2));
    write(this.note, hand.super && this.groups ? texts.superclass_note : "");
    this.note.hidden = !(hand.super && this.groups);
    for (const slider of [this.temperature, this.morph]) {
      slider.style.setProperty("--fill", (slider.value - slider.min) / (slider.max - slider.min));
    }
    const between = this.between();
    if (data.morph) this.morph.setAttribute("aria-valuetext", between);
    this.picture.setAttribute("aria-label", data.morph ? fill(texts.drawn, { animal: between }) : data.picture.alt);
    this.sees.setAttribute("aria-label", texts.sees);
  }

  /** Where the morph stands, in words: "wolf", or "between wolf and dog". */
  between() {
    const { morph, texts } = this.data;
    if (!morph) return "";
    const after = morph.stops.findIndex(({ frame }) => frame >= this.hand.frame);
    const stop = morph.stops[after];
    if (!stop || stop.frame === this.hand.frame) return stop ? stop.name : "";
    return fill(texts.between, { one: morph.stops[after - 1].name, other: stop.name });
  }

  drawPicture() {
    drawFrame(this.picture, this.pictureSheet, this.hand.frame, true);
    drawFrame(this.sees, this.seesSheet, this.hand.frame, false);
  }

  /** The text alternative, once the hand rests. */
  speak(entries) {
    const { texts } = this.data;
    const said = entries.filter((entry) => !entry.gone).sort((a, b) => b.p - a.p).slice(0, 3)
      .map(({ name, p }) => fill(texts.spoken, { name, percent: Math.round(100 * p) })).join(", ");
    write(this.live, this.hand.off ? `${fill(texts.spoken_hidden, { name: this.hard.textContent })} ${said}` : said);
  }
}

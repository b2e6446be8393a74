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
    // `kinds` is null until it has chosen, so that a teacher of many classes begins with its kinds.
    this.hand = {
      temperature: data.temperature, frame: data.frame, off: false, log: false, sort: false, rules: false, kinds: null,
      open: null, all: { kinds: false, classes: false } };
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
    this.scopes = {};
    for (const name of ["kinds", "classes"]) {
      this.scopes[name] = el("button", "", { type: "button", "data-testid": `kd-by-${name}` });
    }
    this.scope = el("div", "scope", { role: "group" }, Object.values(this.scopes));
    for (const name of ["rules", "sort", "log", "all"]) {
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
    this.rules = {};
    for (const name of ["sum", "soften", "agree"]) this.rules[name] = el("p", name);
    this.rulesBox = el("div", "rules", { "data-testid": "kd-rules-note" }, Object.values(this.rules));
    this.live = el("div", "unseen", { role: "status", "aria-live": "polite", "data-testid": "kd-live" });
    this.root = el("div", "kd", { "data-testid": "kd-instrument" }, [
      this.lead,
      el("div", "grid", {}, [
        el("section", "card left", {}, [this.picture, this.morphBox, this.caption, this.seesBox]),
        el("section", "card right", {}, [
          el("div", "head", {}, [el("div", "", {}, [this.hardText, this.hard]), this.lights]),
          this.bars,
          this.axis,
          el("div", "tools", {}, [this.scope, this.legend, ...Object.values(this.tools)]),
          el("div", "slider", {}, [
            el("label", "", {}, [
              el("span", "", {}, [this.temperatureText, " ", this.temperatureValue]), this.temperature]),
            this.temperatureStops,
          ]),
          this.rulesBox,
          el("div", "facts", {}, facts),
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
    const { all, ...toggles } = this.tools;
    for (const [name, button] of Object.entries(toggles)) {
      on(button, "click", () => {
        this.hand[name] = !this.hand[name];
        this.glide();
      });
    }
    on(all, "click", () => {
      this.hand.all[this.byKind ? "kinds" : "classes"] = !this.isAll;
      this.glide();
    });
    for (const [name, button] of Object.entries(this.scopes)) {
      on(button, "click", () => {
        this.hand.kinds = name === "kinds";
        this.glide();
      });
    }
    on(this.bars, "click", (event) => {
      const box = event.target.closest(".opens");
      if (!box) return;
      this.hand.open = this.hand.open === box.dataset.class ? null : box.dataset.class;
      this.glide();
    });
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
    this.kinds = kindsOf(data.superclasses, data.relatives);
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
    write(this.tools.rules, texts.rules);
    this.scope.hidden = !this.kinds;
    if (this.kinds) write(this.scopes.kinds, fill(texts.kinds, { count: this.kinds.length.toLocaleString("en") }));
    write(this.scopes.classes, fill(texts.classes, { count: data.class_names.length.toLocaleString("en") }));
    this.scope.setAttribute("aria-label", texts.scope);
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

  /** Whether the bars show kinds. */
  get byKind() {
    return Boolean(this.kinds) && (this.hand.kinds ?? this.data.kinds_first);
  }

  /** Whether all rows are asked for, and not only the likeliest. */
  get isAll() {
    return this.hand.all[this.byKind ? "kinds" : "classes"];
  }

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
    const view = this.byKind ? kindView(data, this.kinds, hand) : classView(data, hand);
    this.paintRows(view.rows);
    this.paintWords(view);
    this.drawPicture();
    this.root.dataset.paints = Number(this.root.dataset.paints || 0) + 1;
    if (this.since !== undefined) this.root.dataset.paintMs = (performance.now() - this.since).toFixed(2);
    this.since = undefined;
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => this.speak(view.rows), 500);
  }

  paintRows(entries) {
    const { texts } = this.data;
    const { log } = this.hand;
    const order = entries.map((entry) => {
      const row = this.rows.get(entry.id) ?? this.addRow(entry);
      const { box } = row;
      box.dataset.class = entry.rest ? "" : entry.name;
      box.dataset.p = String(entry.p);
      box.dataset.rival = String(entry.rival ?? "");
      for (const name of ["rest", "top", "gone", "opens", "inside"]) box.classList.toggle(name, Boolean(entry[name]));
      row.bar.style.width = `${100 * barLength(entry.gone ? 0 : entry.p, log)}%`;
      row.rival.style.width = `${100 * barLength(entry.gone ? 0 : entry.rival ?? 0, log)}%`;
      row.truth.hidden = (entry.truth ?? null) === null || entry.gone;
      if (!row.truth.hidden) row.truth.style.left = `${100 * barLength(entry.truth, log)}%`;
      write(row.label, entry.name);
      row.name.title = entry.name;
      write(row.count, entry.count > 1 ? ` (${entry.count})` : "");
      write(row.value, entry.gone ? texts.hidden : percent(entry.p, log));
      write(row.rivalValue, entry.gone || entry.rival === undefined ? "" : percent(entry.rival, log));
      if (row.name.tagName === "BUTTON") {
        row.name.disabled = !entry.opens;
        row.name.setAttribute("aria-expanded", String(Boolean(entry.open)));
      }
      return box;
    });
    this.place(order);
    this.root.classList.toggle("dense", entries.length > 8);
    this.root.classList.toggle("many", entries.length > 20);
    const lengths = entries.map(({ name, count }) => (count > 1 ? `${name} (${count})` : name).length);
    const longest = Math.max(...lengths) + (this.byKind ? 2 : 0); // the arrow of a kind
    this.root.style.setProperty("--kd-name", `${Math.min(19, Math.max(4, longest))}ch`);
  }

  /** Bring the rows into the list in this order; the focus and the place scrolled to stay. */
  place(order) {
    const now = this.bars.children;
    if (now.length === order.length && order.every((box, i) => now[i] === box)) return;
    const { scrollTop } = this.bars;
    const focused = this.bars.getRootNode().activeElement;
    this.bars.replaceChildren(...order);
    this.bars.scrollTop = scrollTop;
    if (this.bars.contains(focused)) focused.focus({ preventScroll: true });
  }

  addRow({ id, rest, inside }) {
    const row = { label: el("span"), count: el("span", "count"), bar: el("div", "bar"), rival: el("div", "rival"),
      truth: el("i", "truth"), value: el("span", "value number"), rivalValue: el("span", "rival-value number") };
    row.name = el(id.startsWith("kind:") ? "button" : "span", "name", {}, [row.label, row.count]);
    row.box = el("div", "row", { role: "listitem", "data-testid": inside ? "kd-inside" : rest ? "kd-rest" : "kd-row" }, [
      row.name, el("div", "track", {}, [row.bar, row.rival, row.truth]),
      el("div", "values", {}, [row.value, row.rivalValue])]);
    this.rows.set(id, row);
    return row;
  }

  paintWords({ atoms, total, drift }) {
    const { data, hand } = this;
    const { texts } = data;
    const { logProbs, winner, name } = atoms;
    this.root.classList.toggle("off", hand.off);
    this.root.classList.toggle("logscale", hand.log);
    this.root.classList.toggle("kinds", this.byKind);
    for (const tool of ["rules", "sort", "log"]) this.tools[tool].setAttribute("aria-pressed", String(hand[tool]));
    this.scopes.kinds.setAttribute("aria-pressed", String(this.byKind));
    this.scopes.classes.setAttribute("aria-pressed", String(!this.byKind));
    if (data.lead) write(this.lead, hand.off ? data.lead.off : data.lead.on);
    write(this.lights, hand.off ? texts.lights_on : texts.lights_off);
    if (this.hard.textContent !== name) {
      const first = this.hard.textContent === "";
      write(this.hard, name);
      if (!first) this.hard.animate([{ transform: "scale(1.18)" }, { transform: "none" }], { duration: 220, easing: "ease-out" });
    }
    this.tools.all.hidden = total <= (this.byKind ? data.top_kinds : data.top);
    this.tools.all.setAttribute("aria-pressed", String(this.isAll));
    write(this.tools.all, this.isAll ? texts.fewer : fill(texts.all, { count: total.toLocaleString("en") }));
    this.paintRules(drift);
    write(this.temperatureValue, `T = ${formatTemperature(hand.temperature)}`);
    this.temperature.setAttribute("aria-valuetext", `T = ${formatTemperature(hand.temperature)}`);
    write(this.facts.entropy.value, entropy(logProbs).toFixed(2));
    write(this.facts.dark.value, percent(logProbs.reduce((sum, logP, i) => (i === winner ? sum : sum + Math.exp(logP)), 0)));
    if (atoms.truth) write(this.facts.kl.value, klFromTruth(atoms.truth, logProbs).toFixed(2));
    for (const slider of [this.temperature, this.morph]) {
      slider.style.setProperty("--fill", (slider.value - slider.min) / (slider.max - slider.min));
    }
    const between = this.between();
    if (data.morph) this.morph.setAttribute("aria-valuetext", between);
    this.picture.setAttribute("aria-label", data.morph ? fill(texts.drawn, { animal: between }) : data.picture.alt);
    this.sees.setAttribute("aria-label", texts.sees);
  }

  /** The lesson "sum first or soften first?", with the kind that shows the difference best. */
  paintRules(drift) {
    const { data: { texts }, hand } = this;
    this.tools.rules.hidden = !this.byKind;
    const shown = this.byKind && hand.rules;
    this.root.classList.toggle("ruled", shown);
    this.rulesBox.hidden = !shown;
    if (!shown) return;
    write(this.rules.sum, texts.rule_sum);
    write(this.rules.soften, fill(texts.rule_soften, {
      ...drift, total: drift.total.toLocaleString("en"), share: percent(drift.share) }));
    write(this.rules.agree, texts.rules_agree);
    this.rules.agree.hidden = Math.abs(hand.temperature - 1) >= 0.005;
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
    const said = entries.filter((entry) => !entry.gone && !entry.inside).sort((a, b) => b.p - a.p).slice(0, 3)
      .map(({ name, p }) => fill(texts.spoken, { name, percent: Math.round(100 * p) })).join(", ");
    write(this.live, this.hand.off ? `${fill(texts.spoken_hidden, { name: this.hard.textContent })} ${said}` : said);
  }
}

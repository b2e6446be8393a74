// A camera that takes a picture every 150 ms while its button, or the space bar on it, is held down.
// The pictures go to Python together when the button is let go; nothing is taken or sent before.

const EVERY = 150; // milliseconds
const SIDE = 256; // pixels of the square that is taken from the middle
const instances = new WeakMap();

/** Streamlit calls this at the first drawing and again whenever the data or the theme changed. */
export default function ({ parentElement, data, setTriggerValue }) {
  let camera = instances.get(parentElement);
  if (!camera) {
    camera = new Camera(parentElement);
    instances.set(parentElement, camera);
  }
  camera.send = (shots) => setTriggerValue("shots", shots);
  camera.receive(data);
  return () => {
    camera.end();
    instances.delete(parentElement);
  };
}

class Camera {
  constructor(parent) {
    this.root = document.createElement("div");
    this.root.className = "kd-burst";
    this.video = document.createElement("video");
    Object.assign(this.video, { muted: true, playsInline: true, autoplay: true });
    this.button = document.createElement("button");
    Object.assign(this.button, { type: "button", disabled: true });
    this.words = document.createElement("p");
    this.words.setAttribute("role", "status");
    this.root.append(this.video, this.button, this.words);
    parent.append(this.root);
    this.shots = [];
    this.listen();
    this.start();
  }

  receive(data) {
    this.data = data;
    if (!this.timer) this.say(this.state ?? "wait");
  }

  say(state) {
    this.state = state;
    this.button.textContent = this.timer ? this.data.texts.taking.replace("{n}", this.shots.length) : this.data.texts.hold;
    this.words.textContent = state === "ready" ? "" : this.data.texts[state];
    this.button.disabled = state !== "ready";
  }

  async start() {
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 }, audio: false });
      if (this.ended) return this.end();
      this.video.srcObject = this.stream;
      await this.video.play();
      this.say("ready");
    } catch {
      if (!this.ended) this.say("refused");
    }
  }

  listen() {
    this.button.addEventListener("pointerdown", (event) => {
      this.button.setPointerCapture(event.pointerId);
      this.begin();
    });
    for (const name of ["pointerup", "pointercancel", "blur"]) this.button.addEventListener(name, () => this.finish());
    const isKey = (event) => event.key === " " || event.key === "Enter";
    this.button.addEventListener("keydown", (event) => {
      if (!isKey(event)) return;
      event.preventDefault();
      this.begin();
    });
    this.button.addEventListener("keyup", (event) => isKey(event) && this.finish());
    this.button.addEventListener("contextmenu", (event) => event.preventDefault());
  }

  begin() {
    if (this.timer || this.button.disabled) return;
    this.shots = [];
    this.timer = setInterval(() => this.take(), EVERY);
    this.take();
  }

  take() {
    const { videoWidth: width, videoHeight: height } = this.video;
    if (width && this.shots.length < this.data.most) {
      const side = Math.min(width, height);
      const drawn = document.createElement("canvas");
      drawn.width = drawn.height = SIDE;
      drawn.getContext("2d").drawImage(this.video, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
      this.shots.push(drawn.toDataURL("image/jpeg", 0.92));
    }
    this.say("ready");
  }

  finish() {
    if (!this.timer) return;
    clearInterval(this.timer);
    this.timer = undefined;
    this.say("ready");
    if (this.shots.length) this.send(this.shots);
  }

  end() {
    this.ended = true;
    clearInterval(this.timer);
    for (const track of this.stream?.getTracks() ?? []) track.stop();
  }
}

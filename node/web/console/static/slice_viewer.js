"use strict";
// The slice viewer of a series page: shows one slice with the masks that lie on it.

const HU_WINDOWS = [
  { name: "Abdomen, liver", center: 60, width: 400 },
  { name: "Soft tissue", center: 40, width: 350 },
  { name: "Lung", center: -600, width: 1500 },
  { name: "Bone", center: 400, width: 1800 },
];
const PAGE_SLICES = 10;
// A notch of a mouse wheel is about 100 pixels; a touchpad sends many small steps.
const WHEEL_PIXELS = 50;
const SWIPE_PIXELS = 12;
// In the direction of the last step first.
const PREFETCHED = [1, 2, 3, 4, -1, -2];
const STEPS = {
  ArrowUp: -1, ArrowLeft: -1, ArrowDown: 1, ArrowRight: 1,
  PageUp: -PAGE_SLICES, PageDown: PAGE_SLICES, Home: -Infinity, End: Infinity,
};

class SliceViewer {
  constructor(section) {
    this.section = section;
    this.find = (name) => section.querySelector(`.${name}`);
    this.wanted = 0;
    this.direction = 1;
    this.wheel = 0;
    this.hidden = new Set(); // "MODEL LABEL" of organs that a person has turned off
    this.listen();
  }

  // Loads which slices there are; keeps the shown slice, the window and the organs.
  async open() {
    const version = this.section.dataset.version;
    this.version = version;
    this.say("Loading the list of images …");
    try {
      const index = await (await request(this.section.dataset.slices, "application/json")).json();
      if (this.version === version) this.begin(index);
    } catch (error) {
      this.version = ""; // the next update of the page tries again
      this.say(`The images cannot be listed: ${error.message}.`);
    }
  }

  begin(index) {
    const shown = this.index?.slices[this.wanted]?.sop_instance_uid;
    this.index = index;
    this.images = new SliceImages(index);
    this.find("viewer-body").hidden = !index.slices.length;
    this.say(index.problem);
    if (!index.slices.length) return;
    const same = index.slices.findIndex((slice) => slice.sop_instance_uid === shown);
    this.wanted = same >= 0 ? same : this.firstShown();
    this.find("slice-slider").max = index.slices.length;
    this.listWindows();
    this.listOrgans();
    this.note();
    this.show(this.wanted);
  }

  // Returns the slice in the middle of those that have a frame of a result.
  firstShown() {
    const { slices, results } = this.index;
    const covered = slices.map((_, at) => at).filter((at) => results.some((result) => result.overlay?.frames[at].length));
    const all = covered.length ? covered : slices.map((_, at) => at);
    return all[Math.floor(all.length / 2)];
  }

  listWindows() {
    const select = this.find("window-select");
    const own = this.index.window ? [{ name: "Own window", ...this.index.window }] : [];
    this.windows = [...own, ...HU_WINDOWS];
    const before = select.selectedIndex;
    select.replaceChildren(...this.windows.map(({ name, center, width }) => new Option(`${name} (${center}, ${width})`)));
    select.selectedIndex = before >= 0 && before < this.windows.length ? before : 0;
  }

  listOrgans() {
    const groups = this.index.results.map((result) => {
      const group = document.createElement("fieldset");
      const legend = document.createElement("legend");
      legend.textContent = [result.model, result.part].filter(Boolean).join(", ");
      group.append(legend, ...(result.overlay?.segments ?? []).map((segment) => this.organ(result, segment)));
      return group;
    });
    this.find("organs").replaceChildren(...groups);
    this.find("overlay-controls").hidden = !this.index.results.some((result) => result.overlay);
  }

  organ(result, segment) {
    const key = organKey(result, segment.label);
    const label = document.createElement("label");
    const box = document.createElement("input");
    const swatch = document.createElement("span");
    box.type = "checkbox";
    box.checked = !this.hidden.has(key);
    box.addEventListener("change", () => {
      this.hidden[box.checked ? "delete" : "add"](key);
      this.draw();
    });
    swatch.className = "swatch";
    swatch.style.backgroundColor = `rgb(${segment.colour.join(" ")})`;
    label.append(box, swatch, segment.label);
    return label;
  }

  note() {
    const { left_out: leftOut, results } = this.index;
    const notes = results.flatMap(({ model, overlay, problem }) => {
      if (problem) return [`The result of ${model} is not shown: ${problem}.`];
      return overlay.misplaced ? [`${overlay.misplaced} frames of ${model} are not shown, because their position is not that of their image.`] : [];
    });
    if (leftOut) notes.push(`${leftOut} ${leftOut === 1 ? "image is" : "images are"} not shown: no CT slice with a position, such as a localizer.`);
    this.find("viewer-notes").textContent = notes.join(" ");
  }

  listen() {
    const stage = this.find("stage");
    const slider = this.find("slice-slider");
    slider.addEventListener("input", () => this.show(Number(slider.value) - 1));
    for (const element of [stage, slider]) element.addEventListener("keydown", (event) => this.key(event));
    stage.addEventListener("wheel", (event) => this.turnWheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => { this.swipe = event.pointerType === "mouse" && event.button ? null : event.clientX; });
    stage.addEventListener("pointermove", (event) => this.drag(event));
    for (const name of ["pointerup", "pointercancel", "pointerleave"]) stage.addEventListener(name, () => { this.swipe = null; });
    for (const button of this.section.querySelectorAll("[data-step]")) {
      button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    }
    this.find("window-select").addEventListener("change", () => this.show(this.wanted));
    this.find("overlay-on").addEventListener("change", () => this.draw());
    this.find("opacity").addEventListener("input", () => this.draw());
  }

  key(event) {
    const step = STEPS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    this.step(step);
  }

  turnWheel(event) {
    if (event.ctrlKey || !event.deltaY) return; // zoom of the page
    event.preventDefault();
    this.wheel += event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? event.deltaY : event.deltaY * WHEEL_PIXELS;
    const steps = Math.trunc(this.wheel / WHEEL_PIXELS);
    this.wheel -= steps * WHEEL_PIXELS;
    if (steps) this.step(Math.sign(steps));
  }

  drag(event) {
    if (typeof this.swipe !== "number") return;
    const steps = Math.trunc((event.clientX - this.swipe) / SWIPE_PIXELS);
    if (!steps) return;
    this.swipe += steps * SWIPE_PIXELS;
    this.step(steps);
  }

  step(by) {
    this.direction = Math.sign(by);
    this.show(this.wanted + by);
  }

  // Shows a slice as soon as it is loaded. While one loads, only the last of the others is remembered.
  async show(at) {
    if (!this.index?.slices.length) return;
    this.wanted = Math.min(Math.max(at, 0), this.index.slices.length - 1);
    this.find("slice-slider").value = this.wanted + 1;
    if (this.loading) return;
    this.loading = true;
    let loaded;
    do {
      loaded = this.request();
      await this.loadAndDraw(loaded);
    } while (!isSameRequest(loaded, this.request()));
    this.loading = false;
    this.prefetch(loaded);
  }

  request() {
    return { images: this.images, at: this.wanted, window: this.windows[this.find("window-select").selectedIndex] };
  }

  async loadAndDraw({ images, at, window }) {
    try {
      const content = await images.load(at, window);
      if (images !== this.images) return; // of an earlier list
      this.shown = { at, ...content };
      this.say("");
      this.draw();
    } catch (error) {
      this.shown = null;
      this.draw();
      this.say(`Slice ${at + 1} cannot be shown: ${error.message}.`);
    }
  }

  async prefetch(loaded) {
    for (const offset of PREFETCHED) {
      if (this.loading || !isSameRequest(loaded, this.request())) return;
      const at = loaded.at + offset * this.direction;
      // An error appears when the slice itself is requested.
      if (this.index.slices[at]) await loaded.images.load(at, loaded.window).catch(() => {});
    }
  }

  // Draws picture, masks and texts of one slice at once, so that they always belong together.
  draw() {
    this.find("picture").hidden = !this.shown;
    if (!this.shown) return;
    const { at, picture, masks } = this.shown;
    const slice = this.index.slices[at];
    const [ct, over] = [this.find("ct"), this.find("masks")];
    for (const canvas of [ct, over]) [canvas.width, canvas.height] = [picture.width, picture.height];
    ct.getContext("2d").drawImage(picture, 0, 0);
    if (this.find("overlay-on").checked) this.drawOverlay(over, masks);
    over.style.opacity = String(Number(this.find("opacity").value) / 100);
    this.fit(picture);
    const text = sliceText(this.index, at);
    ct.setAttribute("aria-label", `CT slice. ${text.join(" ")}`);
    [this.find("slice-number").textContent, this.find("slice-position").textContent] = text;
    this.find("slice-slider").setAttribute("aria-valuetext", text.join(" "));
    ["left", "right", "top", "bottom"].forEach((edge, number) => { this.find(`edge-${edge}`).textContent = slice.edges[number]; });
    this.section.dataset.shown = slice.sop_instance_uid;
  }

  drawOverlay(canvas, masks) {
    const fitting = masks.map((frames, number) => {
      const { overlay } = this.index.results[number];
      return overlay && overlay.columns === canvas.width && overlay.rows === canvas.height ? frames : [];
    });
    const image = new ImageData(canvas.width, canvas.height);
    drawMasks(image, this.index, fitting, (number, segment) => this.colourOf(number, segment));
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  colourOf(number, segmentNumber) {
    const result = this.index.results[number];
    const segment = result.overlay.segments.find((one) => one.number === segmentNumber);
    return segment && !this.hidden.has(organKey(result, segment.label)) ? segment.colour : null;
  }

  // A pixel has the proportions of the pixel spacing.
  fit(picture) {
    const { row_spacing_mm: down, column_spacing_mm: right } = this.index;
    this.find("picture").style.setProperty("--ratio", (picture.width * right) / (picture.height * down));
  }

  say(text) {
    const message = this.find("viewer-message");
    message.textContent = text;
    message.hidden = !text;
  }
}

function organKey(result, label) {
  return `${result.model} ${result.part} ${label}`;
}

function isSameRequest(one, other) {
  return one.images === other.images && one.at === other.at && one.window === other.window;
}

// Returns the number of the slice, and its position.
function sliceText(index, at) {
  const slice = index.slices[at];
  const position = slice.position_mm.toFixed(1).replace("-", "−");
  const image = slice.instance_number === null ? "" : `, image number ${slice.instance_number}`;
  return [`Slice ${at + 1} of ${index.slices.length}`, `at ${position} mm (positive towards the ${index.axis})${image}`];
}

// The viewer appears with an update of the page, and its results change with others.
let sliceViewer = null;

function updateViewer() {
  const section = document.querySelector("[data-slices]");
  if (!section) return;
  if (sliceViewer?.section !== section) {
    sliceViewer = new SliceViewer(section);
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      sliceViewer.isSeen = true;
      sliceViewer.open();
    });
    seen.observe(section);
    sliceViewer.say("");
  } else if (sliceViewer.isSeen && sliceViewer.version !== section.dataset.version) {
    sliceViewer.open();
  }
}

updateViewer();
document.addEventListener("segnode:updated", updateViewer);

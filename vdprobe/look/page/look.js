"use strict";
// The page of `vdprobe look`. Everything that is seen follows from `state`, and `state` is the address after #.

const GIVEN = window.GIVEN, PAGE = GIVEN.page || null; // PAGE: what an exported page carries in place of a server
const $ = id => document.getElementById(id);
const DEFAULTS = {
  spec: "", tap: "", t: null, spec2: "", tap2: "", t2: null, video: "", clip: "", text: null, mode: "colours",
  f: null, x: null, y: null, centred: false, fit: false, frame: 0, opacity: 0.75, outlines: true, theme: "",
};
const OBJECTS = ["#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#F0E442", "#0072B2"]; // Okabe and Ito 2008
const SCALE = Uint8Array.from(atob(GIVEN.scale), c => c.charCodeAt(0));
const COSINE_STEPS = 32767, LINE_STEPS = 10000, PLAY_MS = 125, LOOK_MS = 3000, THUMB = 200;
const MODES = { frames: "Frames", colours: "Colours", similarity: "Similarity", label: "Label" };

let state = { ...DEFAULTS };
let specs = GIVEN.specs, columns = [], hover = null, playing = 0;

/* The state and the address */

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  const next = { ...DEFAULTS, ...(given.size || location.hash.length > 1 ? {} : GIVEN.view) };
  for (const [name, text] of given) {
    if (!(name in DEFAULTS)) continue;
    const kind = DEFAULTS[name];
    if (typeof kind === "boolean") next[name] = text === "1";
    else if (typeof kind === "number" || ["t", "t2", "f", "x", "y"].includes(name)) next[name] = Number(text);
    else next[name] = text;
  }
  if (!MODES[next.mode]) next.mode = DEFAULTS.mode;
  state = next;
}

function writeAddress(step) {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value === DEFAULTS[name] || value === null) continue;
    out.set(name, typeof value === "boolean" ? (value ? "1" : "0") : typeof value === "number" ? +value.toFixed(4) : value);
  }
  const address = "#" + out;
  if (address !== location.hash) history[step ? "pushState" : "replaceState"](null, "", address);
}

async function change(changes, { step = true } = {}) {
  Object.assign(state, changes);
  await settle();
  writeAddress(step);
  await show();
}

/* Where the data come from: the server, or the page itself */

async function ask(path, parameters = {}, options = {}) {
  const query = new URLSearchParams({ token: GIVEN.token });
  for (const [name, value] of Object.entries(parameters)) if (value !== null && value !== undefined) query.set(name, value);
  const answer = await fetch(path + "?" + query, options);
  if (answer.ok) return answer;
  let line = answer.statusText;
  try { line = (await answer.json()).error; } catch { /* not ours */ }
  throw new Error(line);
}

const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const mapOf = async answer => ({ ...JSON.parse(answer.headers.get("X-Map")), buffer: await answer.arrayBuffer() });

const server = {
  clips: async spec => (await ask("/clips", { spec })).json(),
  frame: async (column, k) => URL.createObjectURL(await (await ask("/frame", { ...column.asks, frame: k })).blob()),
  masks: async column => (await ask("/masks", column.asks)).json(),
  colours: async (column, signal) => mapOf(await ask("/colours", column.asks, { signal })),
  cosines: async (column, click, signal) => {
    const map = await mapOf(await ask("/cosines", { ...column.asks, ...click }, { signal }));
    return { ...map, values: new Int16Array(map.buffer) };
  },
  label: async (column, click, signal) => (await ask("/label", { ...column.asks, ...click }, { signal })).json(),
};

// What an exported page carries of the features that a column shows.
const carriedBy = column => PAGE.columns[specs.findIndex(spec => spec.key === column.asks.spec)];

const carried = {
  clips: async spec => PAGE.clips[spec] || [],
  frame: async (column, k) => {
    if (PAGE.frames[k]) return "data:image/jpeg;base64," + PAGE.frames[k];
    throw new Error("they were not there when this page was made");
  },
  masks: async () => { if (PAGE.masks) return PAGE.masks; throw new Error(PAGE.no_masks); },
  colours: async column => ({ ...carriedBy(column), buffer: bytes(carriedBy(column).colours).buffer }),
  cosines: async (column, click) => {
    const own = carriedBy(column), [frames, rows, cols] = own.shape, size = own.steps.length;
    own.values ||= new Int8Array(bytes(own.parts).buffer);
    const [row, col] = cellOf(own, click.x, click.y), parts = own.values;
    const at = ((click.f * rows + row) * cols + col) * size, query = own.steps.map((s, c) => parts[at + c] * s * s);
    const values = new Int16Array(frames * rows * cols);
    for (let p = 0, i = 0; p < values.length; p++) {
      let sum = 0;
      for (let c = 0; c < size; c++, i++) sum += parts[i] * query[c];
      values[p] = Math.round(Math.max(-1, Math.min(1, sum)) * COSINE_STEPS);
    }
    return { ...own, values };
  },
  label: async column => carriedBy(column).label,
};
const source = PAGE ? carried : server;

/* Geometry of a map on the frame, as vdprobe.look.geometry has it */

function cellOf(map, x, y) {
  const [, rows, cols] = map.shape, across = map.flip ? 1 - x : x;
  return [Math.min(rows - 1, Math.floor(y * rows / map.extent[0])), Math.min(cols - 1, Math.floor(across * cols / map.extent[1]))];
}
function middleOf(map, row, col) {
  const [, rows, cols] = map.shape, x = (col + 0.5) * map.extent[1] / cols;
  return [map.flip ? 1 - x : x, (row + 0.5) * map.extent[0] / rows];
}

/* What can be chosen */

const known = {}; // clips by spec
const specOf = key => specs.find(spec => spec.key === key);
const distinct = list => [...new Set(list)];

function fill(select, options, chosen) {
  const key = JSON.stringify(options);
  if (select.dataset.key !== key) {
    select.replaceChildren(...options.map(([value, label]) => new Option(label, value)));
    select.dataset.key = key;
  }
  select.value = chosen;
  select.disabled = options.length < 2;
  select.title = select.selectedOptions[0]?.label || "";
}

// Makes the state one that the store has: what is missing or gone is replaced by the nearest that is there.
async function settle() {
  if (!specOf(state.spec)) state.spec = specs[0].key;
  if (state.spec2 && !specOf(state.spec2)) state.spec2 = "";
  for (const end of state.spec2 ? ["", "2"] : [""]) {
    const spec = specOf(state["spec" + end]);
    if (!spec.taps.includes(state["tap" + end])) state["tap" + end] = spec.taps[spec.taps.length - 1];
    if (!spec.timesteps.includes(state["t" + end])) state["t" + end] = spec.timesteps.length ? spec.timesteps[0] : null;
    known[spec.key] ||= await source.clips(spec.key);
  }
  const mine = known[state.spec];
  if (!mine.length) return;
  if (!mine.some(c => c.video === state.video)) state.video = mine[0].video;
  const same = mine.filter(c => c.video === state.video);
  if (!same.some(c => c.clip === state.clip)) Object.assign(state, { clip: same[0].clip, f: null, x: null, y: null, frame: 0 });
  const texts = textsNow();
  if (!texts.includes(state.text)) state.text = texts.length ? texts[0] : null;
  const count = clipNow().frames.length;
  state.frame = Math.max(0, Math.min(state.frame, count - 1));
  if (state.f !== null && state.f >= count) Object.assign(state, { f: null, x: null, y: null });
}
const clipNow = () => known[state.spec]?.find(c => c.video === state.video && c.clip === state.clip);
const textsNow = () => distinct([state.spec, state.spec2].flatMap(spec => known[spec] || [])
  .filter(c => c.video === state.video && c.clip === state.clip && c.text !== null).map(c => c.text));

function showChoices() {
  const mine = known[state.spec] || [], same = mine.filter(c => c.video === state.video);
  const videos = distinct(mine.map(c => c.video)), clips = distinct(same.map(c => c.clip)), texts = textsNow();
  fill($("video"), videos.map(v => [v, v]), state.video);
  fill($("clip"), clips.map(c => [c, "frames " + c.split(".")[0].replace("-", " to ")]), state.clip);
  fill($("text"), texts.map(t => [t, t]), state.text);
  $("clip-choice").hidden = clips.length < 2;
  $("text-choice").hidden = !texts.length;
  const clip = clipNow();
  for (const column of columns) {
    const spec = specOf(column.asks.spec), part = name => column.root.querySelector("." + name);
    fill(part("spec"), specs.map(s => [s.key, s.label]), spec.key);
    fill(part("tap"), spec.taps.map(t => [t, t]), column.asks.tap);
    const sigmas = clip && (known[spec.key].find(c => c.video === clip.video) || clip).sigmas;
    fill(part("t"), spec.timesteps.map((t, i) => [t, `t = ${t}` + (sigmas?.[i] !== undefined ? `  (σ ${(+sigmas[i]).toPrecision(2)})` : "")]), column.asks.t);
    part("t").hidden = !spec.timesteps.length;
  }
  for (const button of $("modes").children) button.setAttribute("aria-checked", button.dataset.mode === state.mode);
  $("opacity").value = state.opacity;
  $("outlines").checked = state.outlines;
  $("centred").checked = state.centred;
  $("fit").checked = state.fit;
  $("opacity-option").hidden = state.mode === "frames";
  $("centred-option").hidden = state.mode !== "similarity" || !!PAGE;
  $("fit-option").hidden = state.mode !== "similarity";
  $("compare").hidden = !!state.spec2 || !!PAGE;
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
}

/* Columns */

class Column {
  constructor(place) {
    this.place = place;
    this.root = $("column").content.firstElementChild.cloneNode(true);
    this.large = this.root.querySelector(".large");
    this.strip = this.root.querySelector(".strip");
    this.number = this.root.querySelector(".number");
    this.key = this.mapKey = "";
    this.asks = {};
    this.frames = []; this.thumbs = []; this.masks = null; this.map = null; this.curve = null;
    this.wrong = ""; this.lost = "";
    this.listen();
  }

  get end() { return this.place ? "2" : ""; }

  listen() {
    const set = (name, value) => change({ [name + this.end]: value });
    this.root.querySelector(".spec").onchange = e => set("spec", e.target.value);
    this.root.querySelector(".tap").onchange = e => set("tap", e.target.value);
    this.root.querySelector(".t").onchange = e => set("t", Number(e.target.value));
    this.root.querySelector(".close").onclick = () => change(this.place ? { spec2: "", tap2: "", t2: null }
      : { spec: state.spec2, tap: state.tap2, t: state.t2, spec2: "", tap2: "", t2: null });
    this.large.onpointermove = e => { hover = this.pointAt(e); columns.forEach(c => c.showNumber()); };
    this.large.onpointerleave = () => { hover = null; columns.forEach(c => c.showNumber()); };
    this.large.onclick = e => {
      const at = this.pointAt(e);
      if (!at) return;
      const mode = state.mode === "label" ? "label" : "similarity";
      if (PAGE && mode === "label") return;
      change({ f: state.frame, x: at[0], y: at[1], mode });
    };
  }

  // The rectangle of the frame within the canvas of a stage, in its own pixels.
  box(canvas) {
    const [w, h] = this.ratio(), share = Math.min(canvas.width / w, canvas.height / h);
    return [(canvas.width - w * share) / 2, (canvas.height - h * share) / 2, w * share, h * share];
  }

  ratio() {
    const picture = this.frames.find(Boolean);
    if (picture) return [picture.width, picture.height];
    return this.map?.shape ? [this.map.shape[2] / this.map.extent[1], this.map.shape[1] / this.map.extent[0]] : [16, 9];
  }

  pointAt(event) {
    const own = this.large.getBoundingClientRect(), [left, top, w, h] = this.box(this.large), more = this.large.width / own.width;
    const x = ((event.clientX - own.left) * more - left) / w, y = ((event.clientY - own.top) * more - top) / h;
    return x >= 0 && x < 1 && y >= 0 && y < 1 ? [x, y] : null;
  }

  async load() {
    const clip = clipNow(), end = this.end;
    this.asks = { spec: state["spec" + end], tap: state["tap" + end], t: state["t" + end], video: state.video, clip: state.clip, text: state.text };
    if (!clip) { this.wrong = "No clip is complete yet; they appear here as they are extracted."; return; }
    const key = JSON.stringify([this.asks.spec, state.video, state.clip]);
    if (key !== this.key) {
      this.key = key;
      Object.assign(this, { frames: [], masks: null, map: null, mapKey: "", lost: "" });
      this.makeStrip(clip.frames.length);
      this.loadFrames(clip.frames.length, key);
      source.masks(this).then(masks => { if (key === this.key) { this.masks = masks; this.paint(); showMasks(); } }, () => showMasks());
    }
    await this.loadMap();
  }

  async loadFrames(count, key) {
    const order = [...Array(count).keys()].sort((a, b) => Math.abs(a - state.frame) - Math.abs(b - state.frame));
    for (const k of order) {
      try {
        const address = await source.frame(this, k), image = new Image();
        image.src = address;
        await image.decode();
        if (address.startsWith("blob:")) URL.revokeObjectURL(address);
        if (key !== this.key) return;
        this.frames[k] = image;
        this.grey[k] = null;
        if (k === order[0]) { this.sizeStrip(); this.paint(); } else { this.paintThumb(k); if (k === state.frame) this.paintLarge(); }
      } catch (error) {
        if (key === this.key) { this.lost = error.message; this.sizeStrip(); this.paint(); }
        return;
      }
    }
    document.body.dataset.frames = (+document.body.dataset.frames || 0) + 1;
  }

  async loadMap() {
    const click = state.f === null ? null : { f: state.f, x: state.x, y: state.y };
    const centred = state.centred ? "1" : null;
    let wanted = null;
    if (state.mode === "colours") wanted = ["colours", null];
    if (state.mode === "similarity" && click) wanted = ["cosines", { ...click, centred }];
    if (state.mode === "label") wanted = ["label", click || { f: state.frame }];
    if (wanted && wanted[0] === "label" && !click && this.mapKey.startsWith('["label"') && this.map?.all) return; // of all objects: stays
    const key = wanted ? JSON.stringify([...wanted, this.asks]) : "";
    if (key === this.mapKey) return;
    this.stop?.abort();
    this.stop = new AbortController();
    this.mapKey = key;
    this.wrong = "";
    if (!wanted) { this.map = this.curve = null; return; }
    const late = setTimeout(() => { if (this.mapKey === key) this.say(wanted[0] === "label" ? "carrying the label through the frames…" : "reading features…"); }, 250);
    try {
      const map = await source[wanted[0]](this, ...(wanted[1] ? [wanted[1]] : []), this.stop.signal);
      if (this.mapKey !== key) return;
      this.map = { kind: wanted[0], all: !click, click: wanted[1], ...map };
      this.measure();
    } catch (error) {
      if (error.name === "AbortError" || this.mapKey !== key) return;
      this.map = this.curve = null;
      this.mapKey = "";
      this.wrong = error.message;
    } finally { clearTimeout(late); }
  }

  // What follows from a map alone: tiles of colours, the best place in each frame, the curve over time.
  measure() {
    const map = this.map;
    this.curve = null;
    if (map.kind === "label") { this.curve = map.overlaps; return; }
    const [count, rows, cols] = map.shape, size = rows * cols;
    if (map.kind === "cosines") {
      map.best = []; map.low = 1; map.high = -1;
      for (let k = 0; k < count; k++) {
        let top = -Infinity, at = 0;
        for (let i = 0; i < size; i++) {
          const value = map.values[k * size + i] / COSINE_STEPS;
          if (value > top) { top = value; at = i; }
          if (value < map.low) map.low = value;
        }
        map.best.push({ value: top, point: middleOf(map, Math.floor(at / cols), at % cols) });
        map.high = Math.max(map.high, top);
      }
      this.curve = map.best.map(b => b.value);
    }
    this.colour();
    if (!this.frames.some(Boolean)) this.sizeStrip();
  }

  colour() {
    const map = this.map;
    if (!map?.shape) return;
    const [count, rows, cols] = map.shape, size = rows * cols, flat = map.kind === "colours" && new Uint8Array(map.buffer);
    const [low, high] = this.range();
    map.tiles = [];
    for (let k = 0; k < count; k++) {
      const tile = document.createElement("canvas");
      tile.width = cols; tile.height = rows;
      const context = tile.getContext("2d"), image = context.createImageData(cols, rows);
      for (let i = 0; i < size; i++) {
        let red, green, blue;
        if (flat) [red, green, blue] = flat.subarray(3 * (k * size + i), 3 * (k * size + i) + 3);
        else {
          const share = (map.values[k * size + i] / COSINE_STEPS - low) / (high - low || 1);
          const at = 3 * Math.round(255 * Math.max(0, Math.min(1, share)));
          [red, green, blue] = [SCALE[at], SCALE[at + 1], SCALE[at + 2]];
        }
        image.data.set([red, green, blue, 255], 4 * i);
      }
      context.putImageData(image, 0, 0);
      map.tiles.push(tile);
    }
  }

  range() {
    const map = this.map;
    return map?.kind === "cosines" && state.fit ? [map.low, map.high] : [0, 1];
  }

  /* Painting */

  makeStrip(count) {
    this.grey = [];
    this.thumbs = [...Array(count).keys()].map(k => {
      const thumb = document.createElement("canvas");
      thumb.onclick = () => change({ frame: k }, { step: false });
      thumb.title = `frame ${clipNow().frames[k]}`;
      return thumb;
    });
    this.strip.replaceChildren(...this.thumbs);
    this.sizeStrip();
  }

  sizeStrip() {
    const [w, h] = this.ratio();
    const wide = (this.thumbs.length > 16 ? 100 : 132) * Math.min(1, Math.max(0.6, Math.sqrt(w / h / 1.78)));
    this.root.style.setProperty("--ratio", `${w} / ${h}`);
    this.root.style.setProperty("--thumb", `${Math.round(wide)}px`);
    const width = Math.round(THUMB * Math.min(2, devicePixelRatio || 1));
    for (const thumb of this.thumbs) { thumb.width = width; thumb.height = Math.round(width * h / w); }
  }

  paint() {
    this.paintLarge();
    this.thumbs.forEach((_, k) => this.paintThumb(k));
    this.thumbs.forEach((thumb, k) => thumb.classList.toggle("now", k === state.frame));
    this.showNote();
    this.showNumber();
  }

  paintThumb(k) {
    const thumb = this.thumbs[k];
    if (thumb) this.draw(thumb.getContext("2d"), k, [0, 0, thumb.width, thumb.height], 1);
  }

  paintLarge() {
    const canvas = this.large, own = canvas.getBoundingClientRect(), share = devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(own.width * share));
    canvas.height = Math.max(1, Math.round(own.height * share));
    if (clipNow()) this.draw(canvas.getContext("2d"), state.frame, this.box(canvas), 2 * share);
  }

  greyed(k) {
    if (!this.grey[k]) {
      const picture = this.frames[k], out = document.createElement("canvas");
      out.width = picture.width; out.height = picture.height;
      const context = out.getContext("2d");
      context.drawImage(picture, 0, 0);
      context.globalCompositeOperation = "color";
      context.fillStyle = "#808080";
      context.fillRect(0, 0, out.width, out.height);
      this.grey[k] = out;
    }
    return this.grey[k];
  }

  // Frame k with all that lies over it, in a box [left, top, width, height]; `line`: the width of lines.
  draw(context, k, [left, top, w, h], line) {
    const map = this.map, picture = this.frames[k];
    context.save();
    context.translate(left, top);
    context.beginPath();
    context.rect(0, 0, w, h);
    context.clip();
    context.fillStyle = "#17181a";
    context.fillRect(0, 0, w, h);
    context.imageSmoothingQuality = "high";
    if (picture) context.drawImage(map?.tiles || map?.kind === "label" ? this.greyed(k) : picture, 0, 0, w, h);
    if (map?.tiles) {
      context.save();
      context.globalAlpha = picture ? state.opacity : 1;
      context.imageSmoothingEnabled = false;
      if (map.flip) { context.translate(w, 0); context.scale(-1, 1); }
      context.drawImage(map.tiles[k], 0, 0, w * map.extent[1], h * map.extent[0]);
      context.restore();
    }
    if (map?.kind === "label") map.outlines[k].forEach((lines, i) => this.shape(context, lines, w, h, { fill: OBJECTS[(map.objects[i] - 1) % OBJECTS.length], line }));
    if (state.outlines && this.masks) this.masks.outlines[k].forEach(lines => this.shape(context, lines, w, h, { line, dashed: map?.kind === "label" }));
    if (map?.kind === "cosines" && k !== state.f) this.ring(context, map.best[k].point, w, h, line, false);
    if (state.f === k && (map?.kind === "cosines" || map?.kind === "label")) this.ring(context, [state.x, state.y], w, h, line, true);
    context.restore();
  }

  shape(context, lines, w, h, { fill = "", line, dashed = false }) {
    context.save();
    context.beginPath();
    for (const corners of lines) {
      for (let i = 0; i < corners.length; i += 2)
        context[i ? "lineTo" : "moveTo"](corners[i] * w / LINE_STEPS, corners[i + 1] * h / LINE_STEPS);
      context.closePath();
    }
    context.lineJoin = "round";
    if (fill) {
      context.globalAlpha = state.opacity * 0.75;
      context.fillStyle = fill;
      context.fill("evenodd");
      context.globalAlpha = 1;
      context.strokeStyle = fill;
      context.lineWidth = line;
      context.stroke();
    } else {
      if (dashed) context.setLineDash([4 * line, 3 * line]);
      context.strokeStyle = "#000a";
      context.lineWidth = 1.6 * line;
      context.stroke();
      context.strokeStyle = "#fff";
      context.lineWidth = 0.75 * line;
      context.stroke();
    }
    context.restore();
  }

  ring(context, [x, y], w, h, line, asked) {
    const size = (asked ? 4.2 : 2.4) * line;
    for (const [colour, width] of [["#000b", 1.7 * line], [asked ? "#fff" : "#fffc", 0.85 * line]]) {
      context.beginPath();
      context.arc(x * w, y * h, size, 0, 2 * Math.PI);
      if (asked) for (const [a, b] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(x * w + a * size, y * h + b * size);
        context.lineTo(x * w + a * size * 1.9, y * h + b * size * 1.9);
      }
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    }
  }

  /* Words and numbers */

  say(text, wrong = false) {
    const note = this.root.querySelector(".note");
    note.textContent = note.title = text;
    note.classList.toggle("wrong", wrong);
  }

  showNote() {
    const map = this.map, legend = this.root.querySelector(".legend");
    legend.replaceChildren();
    if (this.wrong) return this.say(this.wrong, true);
    const lost = this.lost ? ` Frames are not shown: ${this.lost}` : "";
    if (state.mode === "similarity" && !map) return this.say("Click a point of the frame." + lost, !!lost);
    if (map?.kind === "cosines") {
      const bar = document.createElement("canvas"), [low, high] = this.range();
      bar.width = 256; bar.height = 1;
      const context = bar.getContext("2d"), image = context.createImageData(256, 1);
      for (let i = 0; i < 256; i++) image.data.set([SCALE[3 * i], SCALE[3 * i + 1], SCALE[3 * i + 2], 255], 4 * i);
      context.putImageData(image, 0, 0);
      legend.append(low.toFixed(2), bar, high.toFixed(2));
      const how = PAGE ? `, from ${carriedBy(this).steps.length} components (off by up to ${carriedBy(this).error.toFixed(3)})` : "";
      const mean = PAGE?.centred || (!PAGE && state.centred) ? ", minus the clip's mean feature" : "";
      return this.say(`Cosine to the marked point of frame ${clipNow().frames[state.f]}${mean}${how}.` + lost, !!lost);
    }
    if (map?.kind === "colours") {
      const clips = map.clips ? ` fitted on ${map.clips} ${map.clips > 1 ? "samples" : "sample"} of this layer` : " of this layer";
      return this.say(`Three principal components${clips}.` + lost, !!lost);
    }
    if (map?.kind === "label") {
      const scores = (map.overlaps || []).filter((v, k) => v !== null && k !== map.click.f);
      const mean = scores.length ? `, mean IoU with the masks ${(scores.reduce((a, b) => a + b, 0) / scores.length).toFixed(2)}` : "";
      return this.say(`Label of frame ${clipNow().frames[map.click.f]}, carried by nearest neighbours${mean}.` + lost, !!lost);
    }
    return this.say(lost.trim(), !!lost);
  }

  // The number under the pointer, which may be over the other column: it is one point of the video.
  showNumber() {
    const map = this.map, output = this.number;
    output.hidden = !(hover && map?.kind === "cosines");
    if (output.hidden) return;
    const [, rows, cols] = map.shape, [row, col] = cellOf(map, ...hover);
    output.textContent = (map.values[(state.frame * rows + row) * cols + col] / COSINE_STEPS).toFixed(3);
    const [left, top, w, h] = this.box(this.large), share = this.large.width / this.large.getBoundingClientRect().width;
    output.style.left = (left + hover[0] * w) / share + "px";
    output.style.top = (top + hover[1] * h) / share + "px";
  }
}

/* The time line: a curve for each column, and the frame that is shown */

function paintTimeline() {
  const canvas = $("timeline"), own = canvas.getBoundingClientRect(), share = devicePixelRatio || 1, clip = clipNow();
  canvas.width = Math.max(1, own.width * share); canvas.height = Math.max(1, own.height * share);
  const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement), look = name => style.getPropertyValue(name);
  if (!clip) return;
  const count = clip.frames.length, pad = 8 * share, w = canvas.width - 2 * pad, h = canvas.height - 2 * pad;
  const across = k => pad + (count > 1 ? k / (count - 1) : 0.5) * w;
  const curves = columns.map(c => c.curve).filter(Boolean), flat = curves.flat().filter(v => v !== null);
  const low = flat.length ? Math.min(...flat) : 0, high = flat.length ? Math.max(...flat) : 1, reach = Math.max(high - low, 0.02);
  const down = v => pad + (1 - (v - low) / reach) * h;
  context.strokeStyle = look("--line");
  context.lineWidth = share;
  for (let k = 0; k < count; k++) {
    context.beginPath();
    context.moveTo(across(k), curves.length ? pad / 2 : canvas.height / 2 - 4 * share);
    context.lineTo(across(k), curves.length ? canvas.height - pad / 2 : canvas.height / 2 + 4 * share);
    context.stroke();
  }
  columns.forEach((column, place) => {
    if (!column.curve) return;
    context.strokeStyle = context.fillStyle = look(place ? "--second" : "--first");
    context.lineWidth = 1.6 * share;
    context.lineJoin = "round";
    context.beginPath();
    let begun = false;
    column.curve.forEach((v, k) => {
      if (v === null) { begun = false; return; }
      context[begun ? "lineTo" : "moveTo"](across(k), down(v));
      begun = true;
    });
    context.stroke();
    const v = column.curve[state.frame];
    if (v !== null) { context.beginPath(); context.arc(across(state.frame), down(v), 3.2 * share, 0, 7); context.fill(); }
  });
  context.fillStyle = context.strokeStyle = look("--ink");
  context.lineWidth = 1.5 * share;
  context.beginPath();
  context.moveTo(across(state.frame), 0);
  context.lineTo(across(state.frame), canvas.height);
  context.stroke();
  if (state.f !== null && (state.mode === "similarity" || state.mode === "label")) {
    context.beginPath();
    const x = across(state.f);
    context.moveTo(x, canvas.height - 8 * share); context.lineTo(x + 5 * share, canvas.height); context.lineTo(x - 5 * share, canvas.height);
    context.fill();
  }
  const what = state.mode === "label" ? "IoU" : "best cosine";
  canvas.title = curves.length ? `${what} in each frame, ${low.toFixed(2)} to ${high.toFixed(2)}` : "";
  const words = [];
  columns.forEach((column, place) => {
    const value = column.curve?.[state.frame], number = document.createElement("b");
    if (value === undefined || value === null) return;
    number.textContent = value.toFixed(2);
    number.className = place ? "second" : "";
    words.push(words.length ? " " : `${what} `, number);
  });
  $("where").replaceChildren(...words, `${words.length ? " · " : ""}frame ${clip.frames[state.frame]} · ${state.frame + 1} of ${count}`);
}

/* Showing */

function showMasks() { $("outlines-option").hidden = !columns.some(c => c.masks); }

function paintAll() { columns.forEach(column => column.paint()); paintTimeline(); }

async function show() {
  const wanted = state.spec2 ? 2 : 1;
  while (columns.length > wanted) columns.pop().root.remove();
  while (columns.length < wanted) {
    columns.push(new Column(columns.length));
    $("columns").append(columns[columns.length - 1].root);
  }
  const loads = columns.map(column => column.load());
  showChoices();
  showMasks();
  paintAll();
  await Promise.all(loads);
  columns.forEach(column => { if (column.map?.kind === "cosines" && column.fitted !== state.fit) { column.fitted = state.fit; column.colour(); } });
  paintAll();
  document.body.dataset.shown = (+document.body.dataset.shown || 0) + 1;
}

function goTo(frame) {
  const count = clipNow()?.frames.length;
  if (!count) return;
  state.frame = (frame + count) % count;
  writeAddress(false);
  columns.forEach(column => {
    column.paintLarge();
    column.thumbs.forEach((thumb, k) => thumb.classList.toggle("now", k === state.frame));
    column.thumbs[state.frame]?.scrollIntoView({ block: "nearest" });
    column.showNumber();
  });
  paintTimeline();
}

function play(on) {
  clearInterval(playing);
  playing = on ? setInterval(() => goTo(state.frame + 1), PLAY_MS) : 0;
  $("play").textContent = on ? "❚❚" : "▶";
}

/* Saving what is seen */

function picture(k, width = 960) {
  const gap = 12, head = 34, foot = 8, out = document.createElement("canvas"), each = Math.round(columns.length > 1 ? width / 2 : width);
  const heights = columns.map(c => { const [w, h] = c.ratio(); return Math.round(each * h / w); });
  out.width = each * columns.length + gap * (columns.length + 1);
  out.height = Math.max(...heights) + head + foot;
  const context = out.getContext("2d"), style = getComputedStyle(document.documentElement);
  context.fillStyle = style.getPropertyValue("--card");
  context.fillRect(0, 0, out.width, out.height);
  columns.forEach((column, place) => {
    const left = gap + place * (each + gap), spec = specOf(column.asks.spec), t = column.asks.t;
    context.fillStyle = style.getPropertyValue("--ink");
    context.font = "14px system-ui, sans-serif";
    context.fillText(`${spec.label} · ${column.asks.tap}${t === null ? "" : ` · t = ${t}`}`, left, 22, each);
    column.draw(context, k, [left, head, each, heights[place]], 2);
  });
  return out;
}

const blobOf = canvas => new Promise(done => canvas.toBlob(done, "image/png"));

async function save(kind) {
  $("save").open = false;
  const name = `${state.video}-${columns.map(c => c.asks.tap).join("-")}-${state.mode}`.replace(/[^\w.-]+/g, "_");
  if (kind === "link") return navigator.clipboard.writeText(location.href);
  if (kind === "png") return download(await blobOf(sheet()), `${name}.png`);
  const count = clipNow().frames.length, parts = [];
  for (let k = 0; k < count; k++) {
    const blob = await blobOf(picture(k));
    parts.push(new Uint32Array([blob.size]), blob);
  }
  const answer = await ask("/film", { kind }, { method: "POST", body: new Blob(parts) });
  download(await answer.blob(), `${name}.${kind}`);
}

// The large frame of each column, and all frames of it below.
function sheet() {
  const head = picture(state.frame, 1600), count = clipNow().frames.length, gap = 12, n = columns.length, each = (head.width - gap * (n + 1)) / n;
  const across = Math.min(count, n > 1 ? 6 : 8), small = Math.floor((each - 4 * (across - 1)) / across);
  const heights = columns.map(c => { const [w, h] = c.ratio(); return Math.round(small * h / w); }), rows = Math.ceil(count / across);
  const out = document.createElement("canvas");
  out.width = head.width; out.height = head.height + rows * (Math.max(...heights) + 4) + gap;
  const context = out.getContext("2d");
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--card");
  context.fillRect(0, 0, out.width, out.height);
  context.drawImage(head, 0, 0);
  columns.forEach((column, place) => {
    for (let k = 0; k < count; k++)
      column.draw(context, k, [gap + place * (each + gap) + (k % across) * (small + 4), head.height + Math.floor(k / across) * (heights[place] + 4), small, heights[place]], 1);
  });
  return out;
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

/* Looking again while a store is filled */

async function lookAgain() {
  const began = performance.now();
  if (!document.hidden) await compareWithStore();
  setTimeout(lookAgain, Math.max(LOOK_MS, 20 * (performance.now() - began))); // a large store is looked at less often
}

async function compareWithStore() {
  try {
    const now = await (await ask("/store")).json(), before = JSON.stringify([specs, ...columns.map(c => known[c.asks.spec])]);
    specs = now.specs;
    for (const key of distinct(columns.map(c => c.asks.spec))) known[key] = await source.clips(key);
    if (JSON.stringify([specs, ...columns.map(c => known[c.asks.spec])]) !== before) {
      const had = !!clipNow();
      await settle();
      had ? showChoices() : await show();
    }
    tellStatus();
  } catch (error) {
    $("status").classList.add("gone");
    $("status").textContent = error instanceof TypeError ? "the viewer has stopped" : error.message;
  }
}

function tellStatus() {
  const count = known[state.spec]?.length || 0;
  $("status").classList.remove("gone");
  $("status").textContent = `${count} ${count === 1 ? "item" : "items"} · ${GIVEN.store}`;
  $("status").title = GIVEN.store;
}

/* Beginning */

function compare() {
  const own = specOf(state.spec), same = s => s.key !== own.key && s.taps.includes(state.tap);
  const other = specs.find(s => same(s) && s.label.startsWith("random")) || specs.find(same) || own;
  const next = own.taps[(own.taps.indexOf(state.tap) + own.taps.length - 1) % own.taps.length];
  change({ spec2: other.key, tap2: other === own ? next : state.tap, t2: state.t });
}

function listen() {
  for (const [mode, label] of Object.entries(MODES)) {
    if (PAGE && !PAGE.modes.includes(mode)) continue;
    const button = document.createElement("button");
    button.textContent = label;
    button.dataset.mode = mode;
    button.setAttribute("role", "radio");
    button.onclick = () => change({ mode });
    $("modes").append(button);
  }
  $("video").onchange = e => change({ video: e.target.value, clip: "", text: null, f: null, x: null, y: null, frame: 0 });
  $("clip").onchange = e => change({ clip: e.target.value, f: null, x: null, y: null, frame: 0 });
  $("text").onchange = e => change({ text: e.target.value });
  $("opacity").oninput = e => { state.opacity = Number(e.target.value); writeAddress(false); paintAll(); };
  $("outlines").onchange = e => change({ outlines: e.target.checked }, { step: false });
  $("centred").onchange = e => change({ centred: e.target.checked });
  $("fit").onchange = e => change({ fit: e.target.checked });
  $("compare").onclick = compare;
  $("theme").onclick = () => change({ theme: document.documentElement.dataset.theme === "dark" ? "light" : "dark" }, { step: false });
  $("play").onclick = () => play(!playing);
  for (const button of document.querySelectorAll("[data-save]")) {
    if (PAGE && ["mp4", "gif"].includes(button.dataset.save)) button.remove();
    button.onclick = () => save(button.dataset.save).catch(error => columns[0].say(error.message, true));
  }
  const scrub = event => {
    const own = $("timeline").getBoundingClientRect(), count = clipNow()?.frames.length || 1;
    goTo(Math.max(0, Math.min(count - 1, Math.round((event.clientX - own.left - 8) / (own.width - 16) * (count - 1)))));
  };
  $("timeline").onpointerdown = event => { $("timeline").setPointerCapture(event.pointerId); scrub(event); };
  $("timeline").onpointermove = event => { if (event.buttons) scrub(event); };
  document.addEventListener("keydown", event => {
    if (event.target.matches("select, input, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "ArrowRight") goTo(state.frame + 1);
    else if (event.key === "ArrowLeft") goTo(state.frame - 1);
    else if (event.key === " ") { play(!playing); event.target.blur?.(); }
    else if (event.key === "Escape") change({ f: null, x: null, y: null, mode: state.mode === "similarity" ? "colours" : state.mode });
    else return;
    event.preventDefault();
  });
  document.addEventListener("click", event => { if (!$("save").contains(event.target)) $("save").open = false; });
  const again = async () => { readAddress(); await settle(); await show(); };
  addEventListener("popstate", again);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { showChoices(); paintAll(); });
  new ResizeObserver(() => requestAnimationFrame(paintAll)).observe($("columns"));
}

(async () => {
  readAddress();
  listen();
  try { await settle(); } catch (error) { $("status").textContent = error.message; return; }
  writeAddress(false);
  await show();
  if (PAGE) { $("status").classList.add("still"); $("status").textContent = PAGE.about; }
  else { tellStatus(); setTimeout(lookAgain, LOOK_MS); }
})();

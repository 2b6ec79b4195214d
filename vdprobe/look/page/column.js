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

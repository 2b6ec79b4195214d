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

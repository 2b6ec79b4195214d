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

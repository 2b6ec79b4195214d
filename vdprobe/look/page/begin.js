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

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

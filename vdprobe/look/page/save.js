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

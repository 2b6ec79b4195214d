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

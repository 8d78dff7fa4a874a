"use strict";

// The report is JSON; its large arrays are one deflated block of bytes.
const report = JSON.parse(document.getElementById("report").textContent);
const arrays = {};
const tracks = {};  // derived from the arrays, by track (row of the tree) or object

const element = (id) => document.getElementById(id);

function made(name, text, attributes = {}) {
  const node = document.createElement(name);
  if (text !== undefined) node.textContent = text;
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

async function unpack() {
  const text = atob(element("arrays").textContent);
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const buffer = await new Response(inflated).arrayBuffer();
  const kinds = { Uint8: Uint8Array, Uint16: Uint16Array, Uint32: Uint32Array, Int32: Int32Array, Float32: Float32Array, Float64: Float64Array };
  for (const [name, [kind, first, end]] of Object.entries(report.arrays)) {
    arrays[name] = new kinds[kind](buffer.slice(first, end));
  }
  element("arrays").remove();
}

// Objects of one track are adjacent in `objects`, from start[track] to start[track + 1].
function indexTracks() {
  const { track_parent: parent, object_track: trackOf, object_start: starts } = arrays;
  const count = parent.length;
  const root = new Uint32Array(count), children = Array.from({ length: count }, () => []);
  for (let track = 0; track < count; track++) {
    root[track] = parent[track] < 0 ? track : root[parent[track]];
    if (parent[track] >= 0) children[parent[track]].push(track);
  }
  const start = new Uint32Array(count + 2);
  for (const track of trackOf) start[track + 1]++;
  for (let track = 0; track <= count; track++) start[track + 1] += start[track];
  const free = start.slice(), objects = new Uint32Array(trackOf.length), rank = new Uint32Array(trackOf.length);
  const frame = new Uint32Array(trackOf.length);
  for (let shown = 0; shown + 1 < starts.length; shown++) {
    for (let object = starts[shown]; object < starts[shown + 1]; object++) {
      const track = trackOf[object];
      frame[object] = shown;
      rank[object] = free[track] - start[track];
      objects[free[track]++] = object;
    }
  }
  const byLane = Uint32Array.from(arrays.track_lane.keys()).sort((a, b) => arrays.track_lane[a] - arrays.track_lane[b]);
  Object.assign(tracks, { count, root, children, start, objects, rank, frame, byLane });
}

// One of six hues for a lineage; lineages with neighbouring numbers differ. The last is for tracks that are not in the tree.
const N_HUES = 6;
const hueOf = (track) => (track < tracks.count ? arrays.track_id[tracks.root[track]] % N_HUES : N_HUES);

// The shown frame nearest to a frame of the movie.
function nearestShown(frame) {
  const step = report.frames.length > 1 ? report.frames[1] : 1;
  return Math.max(0, Math.min(report.frames.length - 1, Math.round(frame / step)));
}

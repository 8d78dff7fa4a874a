// The lineage tree: a lane for each track, of which only those in sight are drawn.

const GUTTER = 46, AXIS = 24, EDGE = 14;  // CSS pixels: to the left, at the top, to the right
const MIN_LANE = 8, MAX_LANE = 20;

const nLanes = () => (tracks.count ? arrays.track_lane[tracks.byLane[tracks.count - 1]] + 1 : 0);

function laneHeight() {
  const room = (element("scroll").clientHeight - AXIS - EDGE) / Math.max(1, nLanes());
  return Math.max(MIN_LANE, Math.min(MAX_LANE, room));
}

const laneY = (track) => AXIS + (arrays.track_lane[track] + 0.7) * laneHeight() - element("scroll").scrollTop;

function timeX(frame) {
  const width = element("tree").clientWidth - GUTTER - EDGE;
  return GUTTER + (width * frame) / Math.max(1, report.n_frames - 1);
}

// The tracks whose lanes are between two heights of the canvas.
function tracksBetween(top, bottom) {
  const lane = (y) => (y - AXIS + element("scroll").scrollTop) / laneHeight() - 0.7;
  const firstAfter = (limit) => {
    let low = 0, high = tracks.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (arrays.track_lane[tracks.byLane[middle]] < limit) low = middle + 1; else high = middle;
    }
    return low;
  };
  return tracks.byLane.subarray(firstAfter(lane(top)), firstAfter(lane(bottom)));
}

function sizeTree() {
  element("lanes").style.height = AXIS + EDGE + nLanes() * laneHeight() + "px";
}

function drawTree() {
  const canvas = element("tree"), context = sized(canvas), height = canvas.clientHeight;
  context.clearRect(0, 0, canvas.clientWidth, height);
  context.font = "11px system-ui, sans-serif";
  const ticks = niceTicks(report.n_frames - 1, Math.max(2, Math.floor(canvas.clientWidth / 90)));
  context.fillStyle = colours.line;
  for (const tick of ticks) context.fillRect(Math.round(timeX(tick)), AXIS - 4, 1, height);
  drawLanes(context, height);
  context.fillStyle = colours.card;
  context.fillRect(0, 0, canvas.clientWidth, AXIS - 4);
  context.fillStyle = colours.quiet;
  context.textAlign = "center";
  for (const tick of ticks) context.fillText(tick.toLocaleString("en"), timeX(tick), 12);
  context.textAlign = "right";
  context.fillText("frame", GUTTER - 14, 12);
  context.fillStyle = colours.mark;
  context.fillRect(timeX(report.frames[state.frame]) - 0.75, AXIS - 6, 1.5, height);
}

function drawLanes(context, height) {
  const chosenRoot = state.track >= 0 ? tracks.root[state.track] : -1;
  // A lane of slack: mothers lie between their daughters, whose lines reach up or down to them.
  const seen = new Set(tracksBetween(AXIS - MAX_LANE, height + MAX_LANE));
  for (const track of [...seen]) for (let up = arrays.track_parent[track]; up >= 0; up = arrays.track_parent[up]) seen.add(up);
  let labelled = -Infinity;
  for (const track of seen) {
    const isChosen = tracks.root[track] === chosenRoot;
    context.globalAlpha = chosenRoot < 0 || isChosen ? 1 : 0.45;
    context.strokeStyle = track === state.track ? colours.text : colours.hues[hueOf(track)];
    context.lineWidth = track === state.track ? 4 : isChosen ? 2.6 : 2;
    drawTrack(context, track);
  }
  context.globalAlpha = 1;
  context.textAlign = "right";
  for (const track of tracksBetween(AXIS, height)) {
    const y = laneY(track);
    if (arrays.track_parent[track] >= 0 || y - labelled < 12) continue;
    labelled = y;
    context.fillStyle = tracks.root[track] === chosenRoot ? colours.text : colours.quiet;
    context.fillText(arrays.track_id[track], GUTTER - 14, y + 4);
  }
}

function drawTrack(context, track) {
  const y = laneY(track), first = timeX(arrays.track_first[track]), last = timeX(arrays.track_last[track]);
  const parent = arrays.track_parent[track];
  context.lineCap = "butt";
  context.beginPath();
  if (parent >= 0) {
    context.moveTo(timeX(arrays.track_last[parent]), laneY(parent));
    context.lineTo(first, laneY(parent));
  }
  context.lineTo(first, y);
  context.lineTo(Math.max(last, first + 3), y);
  context.stroke();
}

// The track nearest to a point of the canvas, or -1.
function trackNear(x, y) {
  let nearest = -1, least = 60;
  for (const track of tracksBetween(y - 2 * MAX_LANE, y + 2 * MAX_LANE)) {
    const first = timeX(arrays.track_first[track]), last = timeX(arrays.track_last[track]);
    const far = Math.max(0, first - x, x - last) + 2 * Math.abs(laneY(track) - y);
    if (far < least) [nearest, least] = [track, far];
  }
  return nearest;
}

function scrollToTrack(track) {
  const scroll = element("scroll"), y = laneY(track);
  if (y < AXIS + MAX_LANE || y > scroll.clientHeight - MAX_LANE) scroll.scrollTop += y - scroll.clientHeight / 2;
}

const frameAtX = (x) => Math.round(((x - GUTTER) * (report.n_frames - 1)) / (element("tree").clientWidth - GUTTER - EDGE));

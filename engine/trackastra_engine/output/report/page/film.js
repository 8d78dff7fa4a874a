// The movie: image, outlines and tails of a frame, and the track under a point.

const TAIL = 12;  // length of a track's tail in shown frames
const TAIL_FADES = [0.95, 0.6, 0.3];  // opacity of its parts, the latest first
const DIVISION_FRAMES = 4;  // during which a ring marks a division
const REACH = 14;  // CSS pixels from a dot within which a click chooses it
const UNITS = 16;  // units of positions per shown pixel
const MAX_ZOOM = 24;
const SMOOTH_SCALE = 2;  // CSS pixels per shown pixel from which outlines are curves

const [frameWidth, frameHeight] = report.size;
const hasOutlines = "way_start" in report.arrays;
const spacing = Math.sqrt((frameWidth * frameHeight * report.frames.length) / report.n_shown);  // of objects
const sight = { zoom: 1, x: frameWidth / 2, y: frameHeight / 2 };  // centre of the view
const pictures = [];  // images of frames, decoded on first use
const drawn = new Map();  // paths of the latest frames

function picture(shown) {
  if (!(shown in report.images)) return null;
  if (!pictures[shown]) {
    pictures[shown] = new Image();
    pictures[shown].onload = redraw;
    pictures[shown].src = "data:image/jpeg;base64," + report.images[shown];
  }
  return pictures[shown];
}

// Calls visit(track, x, y, length, first step) for each path around an object.
function eachWay(shown, visit) {
  let step = 4 * arrays.step_start[shown];
  for (let way = arrays.way_start[shown]; way < arrays.way_start[shown + 1]; way++) {
    visit(arrays.way_track[way], arrays.way_x[way], arrays.way_y[way], arrays.way_length[way], step);
    step += arrays.way_length[way];
  }
}

const direction = (step) => (arrays.steps[step >> 2] >> (2 * (step & 3))) & 3;
const STEP_X = [1, 0, -1, 0], STEP_Y = [0, 1, 0, -1];

// Adds an outline to a path, along the middles of its steps.
function addWay(path, isSmooth, x, y, length, first) {
  if (isSmooth) return addCurve(path, x, y, length, first);
  path.moveTo(x + 0.5, y);
  let before = 0;
  for (let step = first + 1; step < first + length; step++) {
    x += STEP_X[before];
    y += STEP_Y[before];
    const way = direction(step);
    if (way !== before) {
      path.lineTo(x - STEP_X[before] / 2, y - STEP_Y[before] / 2);
      path.lineTo(x + STEP_X[way] / 2, y + STEP_Y[way] / 2);
    }
    before = way;
  }
  path.closePath();
}

// The same as a curve (a B-spline), without steps, for large pixels.
function addCurve(path, x, y, length, first) {
  let controlX, controlY;
  for (let step = 0; step <= length + 1; step++) {
    const way = direction(first + (step % length));
    const middleX = x + STEP_X[way] / 2, middleY = y + STEP_Y[way] / 2;
    if (step === 1) path.moveTo((controlX + middleX) / 2, (controlY + middleY) / 2);
    if (step > 1) path.quadraticCurveTo(controlX, controlY, (controlX + middleX) / 2, (controlY + middleY) / 2);
    [controlX, controlY] = [middleX, middleY];
    x += STEP_X[way];
    y += STEP_Y[way];
  }
  path.closePath();
}

// Adds the past positions of an object, across divisions, to one path for each part of the tail.
function addTail(paths, object) {
  let track = arrays.object_track[object], rank = tracks.rank[object], from = object;
  const oldest = tracks.frame[object] - TAIL;
  while (track < tracks.count) {
    if (rank === 0) {
      track = arrays.track_parent[track];
      if (track < 0) return;
      rank = tracks.start[track + 1] - tracks.start[track];
      if (rank === 0) continue;
    }
    const to = tracks.objects[tracks.start[track] + --rank];
    if (tracks.frame[to] < oldest) return;
    const age = tracks.frame[object] - tracks.frame[to] - 1;
    const path = paths[Math.min(TAIL_FADES.length - 1, Math.floor((age * TAIL_FADES.length) / TAIL))];
    path.moveTo(arrays.object_x[from] / UNITS, arrays.object_y[from] / UNITS);
    path.lineTo(arrays.object_x[to] / UNITS, arrays.object_y[to] / UNITS);
    from = to;
  }
}

// The paths of a frame by hue; only those of one lineage if `root` is given.
function framePaths(shown, root = -1) {
  const isSmooth = placement().scale >= SMOOTH_SCALE, key = [shown, root, isSmooth].join();
  if (drawn.has(key)) return drawn.get(key);
  const isMeant = (track) => root < 0 || (track < tracks.count && tracks.root[track] === root);
  const hues = Array.from({ length: N_HUES + 1 }, () => ({
    outlines: new Path2D(), dots: new Path2D(), tails: TAIL_FADES.map(() => new Path2D()),
  }));
  const rings = new Path2D();
  for (let object = arrays.object_start[shown]; object < arrays.object_start[shown + 1]; object++) {
    const track = arrays.object_track[object];
    if (!isMeant(track)) continue;
    const x = arrays.object_x[object] / UNITS, y = arrays.object_y[object] / UNITS;
    hues[hueOf(track)].dots.moveTo(x, y);
    hues[hueOf(track)].dots.lineTo(x, y);
    addTail(hues[hueOf(track)].tails, object);
    addRing(rings, track, shown);
  }
  if (hasOutlines) {
    eachWay(shown, (track, ...way) => isMeant(track) && addWay(hues[hueOf(track)].outlines, isSmooth, ...way));
  }
  if (drawn.size > 8) drawn.delete(drawn.keys().next().value);
  drawn.set(key, { hues, rings });
  return drawn.get(key);
}

function addRing(rings, track, shown) {
  const parent = track < tracks.count ? arrays.track_parent[track] : -1;
  if (parent < 0 || tracks.children[parent].length < 2 || tracks.children[parent][0] !== track) return;
  const last = tracks.objects[tracks.start[parent + 1] - 1];
  if (tracks.start[parent] === tracks.start[parent + 1] || shown - tracks.frame[last] > DIVISION_FRAMES) return;
  const x = arrays.object_x[last] / UNITS, y = arrays.object_y[last] / UNITS, radius = frameWidth / 90;
  rings.moveTo(x + radius, y);
  rings.arc(x, y, radius, 0, 2 * Math.PI);
}

// CSS pixels per shown pixel, and the position of the frame's corner on the canvas.
function placement() {
  const { clientWidth: width, clientHeight: height } = element("film");
  const scale = sight.zoom * Math.min(width / frameWidth, height / frameHeight);
  const corner = (size, shown, middle) =>
    scale * shown <= size ? (size - scale * shown) / 2 : Math.min(0, Math.max(size - scale * shown, size / 2 - scale * middle));
  return { scale, left: corner(width, frameWidth, sight.x), top: corner(height, frameHeight, sight.y) };
}

function drawFilm() {
  const context = sized(element("film"));
  const { scale, left, top } = placement();
  context.fillStyle = "#0d0e10";
  context.fillRect(0, 0, element("film").clientWidth, element("film").clientHeight);
  context.save();
  context.translate(left, top);
  context.scale(scale, scale);
  context.lineJoin = context.lineCap = "round";
  const image = picture(state.frame);
  for (let ahead = 1; ahead <= 3; ahead++) picture((state.frame + ahead) % report.frames.length);
  if (image && element("image").checked && image.complete) context.drawImage(image, 0, 0, frameWidth, frameHeight);
  const chosen = state.track >= 0;
  drawPaths(context, framePaths(state.frame), chosen ? 0.4 : 1, scale);
  if (chosen) drawChosen(context, scale);
  if (state.link >= 0) drawLink(context, report.links[state.link], scale);
  context.restore();
  drawScaleBar(context, scale);
}

function drawPaths(context, paths, strength, scale) {
  const isFilled = report.images.length === 0 || !element("image").checked;
  paths.hues.forEach(({ outlines, dots, tails }, hue) => {
    context.strokeStyle = context.fillStyle = hue < N_HUES ? colours.film[hue] : "#8b8f94";
    if (element("outlines").checked && hasOutlines) {
      context.globalAlpha = strength * 0.34;
      if (isFilled) context.fill(outlines, "evenodd");
      context.globalAlpha = strength * 0.9;
      context.lineWidth = 1.2 / scale;
      context.stroke(outlines);
    }
    if (element("tails").checked) {
      context.lineWidth = 1.8 / scale;
      tails.forEach((tail, part) => {
        context.globalAlpha = strength * TAIL_FADES[part];
        context.stroke(tail);
      });
    }
    if (!hasOutlines) {
      context.globalAlpha = strength;
      context.lineWidth = Math.max(2, Math.min(6, 0.5 * spacing * scale)) / scale;
      context.stroke(dots);
    }
  });
  context.globalAlpha = 0.9 * strength;
  context.strokeStyle = "#fff";
  context.lineWidth = 1.4 / scale;
  context.stroke(paths.rings);
}

// The whole path of the chosen lineage, its current objects, and the chosen track in white.
function drawChosen(context, scale) {
  const root = tracks.root[state.track];
  context.strokeStyle = colours.film[hueOf(root)];
  context.globalAlpha = 0.75;
  context.lineWidth = 1.2 / scale;
  for (let track = root; track < tracks.count && tracks.root[track] === root; track++) context.stroke(wayOf(track));
  drawPaths(context, framePaths(state.frame, root), 1, scale);
  context.globalAlpha = 1;
  context.strokeStyle = "#fff";
  context.lineWidth = 2.4 / scale;
  const [object] = objectsOf(state.track).filter((one) => tracks.frame[one] === state.frame);
  if (object === undefined) return;
  const path = new Path2D();
  if (hasOutlines) eachWay(state.frame, (track, ...way) => track === state.track && addWay(path, scale >= SMOOTH_SCALE, ...way));
  else path.arc(arrays.object_x[object] / UNITS, arrays.object_y[object] / UNITS, 7 / scale, 0, 2 * Math.PI);
  context.stroke(path);
}

const objectsOf = (track) => tracks.objects.subarray(tracks.start[track], tracks.start[track + 1]);

function wayOf(track) {
  const path = new Path2D(), parent = arrays.track_parent[track];
  const objects = [...(parent >= 0 ? objectsOf(parent).slice(-1) : []), ...objectsOf(track)];
  for (const object of objects) path.lineTo(arrays.object_x[object] / UNITS, arrays.object_y[object] / UNITS);
  return path;
}

function drawLink(context, { target, source, alternatives }, scale) {
  const line = (from, dash, colour) => {
    if (!from || from.x === undefined) return;
    context.setLineDash(dash.map((length) => length / scale));
    context.strokeStyle = colour;
    const path = new Path2D();
    path.moveTo(from.x, from.y);
    path.lineTo(target.x, target.y);
    path.moveTo(from.x + 5 / scale, from.y);
    path.arc(from.x, from.y, 5 / scale, 0, 2 * Math.PI);
    context.stroke(path);
  };
  context.globalAlpha = 1;
  context.lineWidth = 2.2 / scale;
  for (const other of alternatives) line(other, [5, 5], "#ffd9c7");
  line(source, [], "#fff");
  context.setLineDash([]);
  context.strokeStyle = "#ff7a52";
  context.beginPath();
  context.arc(target.x, target.y, 18 / scale, 0, 2 * Math.PI);
  context.stroke();
}

function drawScaleBar(context, scale) {
  if (!report.um_per_pixel) return;
  const um = report.um_per_pixel / scale, most = 110 * um;
  const ten = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].map((digit) => digit * ten).find((size) => size <= most);
  const bottom = element("film").clientHeight - 14;
  context.fillStyle = "#fff";
  context.shadowColor = "#000";
  context.shadowBlur = 4;
  context.fillRect(14, bottom - 4, length / um, 4);
  context.font = "12px system-ui, sans-serif";
  context.fillText(length >= 1000 ? length / 1000 + " mm" : length + " µm", 14, bottom - 10);
  context.shadowBlur = 0;
}

// The track under a point of the canvas (CSS pixels), or -1.
function trackAt(left, top) {
  const { scale, left: corner, top: side } = placement();
  const object = objectAt(state.frame, (left - corner) / scale, (top - side) / scale, scale);
  return object < 0 ? -1 : arrays.object_track[object];
}

// The object at a position in a frame: inside its outline, or near its dot; or -1.
function objectAt(shown, x, y, scale) {
  const crossed = new Map();  // a point is inside an object if it crosses an odd number of its sides
  if (hasOutlines) {
    eachWay(shown, (track, cornerX, cornerY, length, first) => {
      for (let step = first; step < first + length; step++) {
        const way = direction(step), row = way === 3 ? cornerY - 1 : cornerY;
        if (way % 2 && row === Math.floor(y) && cornerX <= x) crossed.set(track, !crossed.get(track));
        cornerX += STEP_X[way];
        cornerY += STEP_Y[way];
      }
    });
  }
  const inside = [...crossed].find(([, isInside]) => isInside)?.[0];
  let nearest = -1, least = inside === undefined ? REACH / scale : Infinity;
  for (let object = arrays.object_start[shown]; object < arrays.object_start[shown + 1]; object++) {
    const far = Math.hypot(arrays.object_x[object] / UNITS - x, arrays.object_y[object] / UNITS - y);
    const isMeant = inside === undefined || arrays.object_track[object] === inside;
    if (isMeant && far < least) [nearest, least] = [object, far];
  }
  return nearest;
}

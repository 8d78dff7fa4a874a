// The shown frame and the chosen track and link, and the controls that change them.

const state = { frame: 0, track: -1, link: -1 };
const colours = { film: [], hues: [] };
const SHOWN_ALTERNATIVES = 3;  // in the list of links
const LINK_SPACINGS = 4;  // width of the view around an uncertain link, in spacings of objects
let playing = 0;  // number of the timer, or 0
let isDue = false;

function redraw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    drawFilm();
    drawTree();
    drawPanes();
    for (const move of playheads) move(report.frames[state.frame]);
  });
}

// The context of a canvas at the screen's resolution, in CSS pixels.
function sized(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

function show(shown) {
  state.frame = Math.max(0, Math.min(report.frames.length - 1, shown));
  const frame = report.frames[state.frame];
  element("time").value = state.frame;
  element("time").setAttribute("aria-valuetext", `frame ${frame}`);
  element("now").textContent = `frame ${frame.toLocaleString("en")} of 0–${(report.n_frames - 1).toLocaleString("en")}${timeOf(frame)}`;
  redraw();
}

// The time of a frame after the first, if known.
function timeOf(frame) {
  if (!report.interval_s) return "";
  const seconds = frame * report.interval_s;
  const [unit, size] = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]].find(([, size]) => report.interval_s * (report.n_frames - 1) >= 2 * size) || ["s", 1];
  return `, ${+(seconds / size).toFixed(size > 1 ? 1 : 2)} ${unit}`;
}

function choose(track) {
  state.track = track < tracks.count ? track : -1;
  if (state.track >= 0) scrollToTrack(state.track);
  element("chosen").textContent = state.track < 0
    ? "Choose a track in the movie or in the tree."
    : described(state.track);
  redraw();
}

function described(track) {
  const { track_id: id, track_first: first, track_last: last, track_parent: parent } = arrays;
  const daughters = tracks.children[track].map((child) => id[child]);
  const length = last[track] - first[track] + 1;
  const span = length > 1 ? `frames ${first[track]} to ${last[track]} (${length})` : `only frame ${first[track]}`;
  return [
    `Track ${id[track]}: ${span}`,
    parent[track] >= 0 ? `from track ${id[parent[track]]}` : "",
    daughters.length > 1 ? `divides into ${daughters.join(" and ")}` : "",
    daughters.length === 1 ? `continues as ${daughters[0]}` : "",
  ].filter(Boolean).join(", ") + ".";
}

// Chooses a track and shows a frame that contains it.
function visitTrack(track) {
  choose(track);
  const frame = report.frames[state.frame];
  if (frame < arrays.track_first[track] || frame > arrays.track_last[track]) show(nearestShown(arrays.track_first[track]));
}

function visitLink(index) {
  const buttons = element("links").querySelectorAll("button");
  if (state.link >= 0) buttons[state.link].removeAttribute("aria-current");
  state.link = index;
  picked.before = picked.after = -1;
  showParents();
  if (index < 0) return redraw();
  stop();
  const { target } = report.links[index];
  buttons[index].setAttribute("aria-current", "true");
  buttons[index].scrollIntoView({ block: "nearest" });
  choose(target.track);
  Object.assign(sight, { x: target.x, y: target.y, zoom: Math.max(1, Math.min(frameWidth, frameHeight) / (LINK_SPACINGS * spacing)) });
  show(nearestShown(target.frame));
}

function play() {
  playing = setInterval(() => show((state.frame + 1) % report.frames.length), 1000 / element("speed").value);
  element("play").className = "playing";
  element("play").setAttribute("aria-label", "Stop");
}

function stop() {
  clearInterval(playing);
  playing = 0;
  element("play").className = "";
  element("play").setAttribute("aria-label", "Play");
}

const toggle = () => (playing ? stop() : play());

// Zooms around the point (`left`, `top`) of the canvas (CSS pixels).
function zoom(factor, left = element("film").clientWidth / 2, top = element("film").clientHeight / 2) {
  const before = placement(), zoomBefore = sight.zoom;
  const x = (left - before.left) / before.scale, y = (top - before.top) / before.scale;
  sight.zoom = Math.max(1, Math.min(MAX_ZOOM, sight.zoom * factor));
  const scale = (before.scale * sight.zoom) / zoomBefore;
  moveTo(x - (left - element("film").clientWidth / 2) / scale, y - (top - element("film").clientHeight / 2) / scale);
}

// Centres the canvas on a position in the frame, within the frame's borders.
function moveTo(x, y) {
  const { scale } = placement(), { clientWidth, clientHeight } = element("film");
  const inside = (value, shown, size) => Math.max(size / scale / 2, Math.min(shown - size / scale / 2, value));
  sight.x = inside(x, frameWidth, clientWidth);
  sight.y = inside(y, frameHeight, clientHeight);
  element("film").style.touchAction = sight.zoom > 1 ? "none" : "pan-y";
  redraw();
}

function clear() {
  visitLink(-1);
  choose(-1);
}

const KEYS = {
  " ": () => toggle(),
  ArrowLeft: (event) => show(state.frame - (event.shiftKey ? 10 : 1)),
  ArrowRight: (event) => show(state.frame + (event.shiftKey ? 10 : 1)),
  ArrowUp: () => stepTrack(-1),
  ArrowDown: () => stepTrack(1),
  Home: () => show(0),
  End: () => show(report.frames.length - 1),
  n: () => visitLink(Math.min(state.link + 1, report.links.length - 1)),
  p: () => visitLink(Math.max(state.link - 1, Math.min(0, report.links.length - 1))),
  "+": () => zoom(1.5),
  "=": () => zoom(1.5),
  "-": () => zoom(1 / 1.5),
  w: () => zoom(0),
  y: () => isRight(),
  x: () => isWrong(),
  0: () => hasNoParent(),
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8, 9].map((number) => [number, () => isFrom(number)])),
  u: () => undo(),
  Escape: () => clear(),
};

function stepTrack(step) {
  const place = state.track < 0 ? -1 : tracks.byLane.indexOf(state.track);
  visitTrack(tracks.byLane[Math.max(0, Math.min(tracks.count - 1, place + step))]);
}

function onKey(event) {
  const { target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input[type=number], select")) return;
  if (target.type === "range" && event.key.startsWith("Arrow")) return;
  if (event.key === " " && target.matches("button, input[type=checkbox]")) return;
  if (/Arrow(Up|Down)/.test(event.key) && !target.matches("canvas")) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  act(event);
}

// One pointer drags or chooses, two zoom.
function listenToPointers() {
  const film = element("film"), pointers = new Map();
  let moved = 0;
  const spread = () => { const [a, b] = pointers.values(); return Math.hypot(a.x - b.x, a.y - b.y); };
  film.addEventListener("pointerdown", (event) => {
    if (pointers.size === 0) moved = 0;
    film.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  });
  film.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return;
    const apart = pointers.size === 2 ? spread() : 0, place = placement();
    moved += Math.hypot(event.offsetX - before.x, event.offsetY - before.y);
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (apart) zoom(spread() / apart, event.offsetX, event.offsetY);
    else if (sight.zoom > 1 && moved > 4) moveTo(sight.x - (event.offsetX - before.x) / place.scale, sight.y - (event.offsetY - before.y) / place.scale);
  });
  film.addEventListener("pointerup", (event) => {
    if (pointers.delete(event.pointerId) && moved <= 4) choose(trackAt(event.offsetX, event.offsetY));
  });
  film.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId));
  film.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;  // set by a pinch on a touchpad; else the page scrolls
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 200), event.offsetX, event.offsetY);
  }, { passive: false });
  element("tree").addEventListener("click", (event) => {
    const track = trackNear(event.offsetX, event.offsetY);
    choose(track);
    if (track >= 0) show(nearestShown(Math.max(arrays.track_first[track], Math.min(arrays.track_last[track], frameAtX(event.offsetX)))));
  });
}

function listen() {
  document.addEventListener("keydown", onKey);
  listenToPointers();
  listenToDecisions();
  element("play").addEventListener("click", toggle);
  element("speed").addEventListener("change", () => playing && (stop(), play()));
  element("time").addEventListener("input", (event) => show(+event.target.value));
  for (const id of ["image", "outlines", "tails"]) element(id).addEventListener("change", redraw);
  element("in").addEventListener("click", () => zoom(1.5));
  element("out").addEventListener("click", () => zoom(1 / 1.5));
  element("whole").addEventListener("click", () => zoom(0));
  element("clear").addEventListener("click", clear);
  element("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const track = arrays.track_id.indexOf(+element("number").value);
    if (track >= 0) visitTrack(track);
    else element("chosen").textContent = `There is no track ${element("number").value} in the tree.`;
  });
  element("scroll").addEventListener("scroll", redraw);
  new ResizeObserver(() => { sizeTree(); redraw(); }).observe(element("scroll"));
  new ResizeObserver(redraw).observe(element("film"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); redraw(); });
}

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue("--" + name).trim();
  for (const name of ["line", "card", "text", "quiet", "mark"]) colours[name] = value(name);
  for (let hue = 0; hue < N_HUES; hue++) [colours.film[hue], colours.hues[hue]] = [value("film-" + hue), value("hue-" + hue)];
  colours.hues[N_HUES] = colours.quiet;
}

function fillIn() {
  for (const [number, name] of report.summary) {
    const pair = made("div");
    pair.append(made("dt", name), made("dd", number));
    element("summary").append(pair);
  }
  element("notes").textContent = report.notes.join(" ");
  element("film").style.aspectRatio = `${frameWidth} / ${frameHeight}`;
  element("film").setAttribute("aria-label", "Movie with outlines and tracks. A click chooses a track; the arrow keys change the frame.");
  element("time").max = report.frames.length - 1;
  element("has-image").hidden = report.images.length === 0;
  element("has-outlines").hidden = !hasOutlines;
  report.charts.forEach(drawChart);
  report.links.forEach((link, index) => element("links").append(linkItem(link, index)));
  if (report.links.length === 0) element("links").append(made("li", "Every link was the only one possible.", { class: "quiet" }));
  const seconds = report.stage_s.map(([name, value]) => ["time, " + name, `${value.toFixed(1)} s`]);
  for (const [name, value] of [...report.settings, ...seconds]) element("settings").append(made("dt", name), made("dd", value));
}

function linkItem({ target, source, alternatives }, index) {
  const name = (place) => (place.frame === undefined ? "no source" : `object ${place.label} of frame ${place.frame}`);
  const item = made("li"), button = made("button", undefined, { type: "button" });
  const others = alternatives.slice(0, SHOWN_ALTERNATIVES).map((other) => `${name(other)}, ${other.score.toFixed(2)}`);
  button.append(
    made("span", `frame ${target.frame}`),
    made("span", `object ${target.label} ← ${source ? name(source) : "no source"}`),
    made("b", (source || target).score.toFixed(2)),
    made("small", others.length ? `or ${others.join("; ")}` : ""),
    made("em"),
  );
  button.addEventListener("click", () => visitLink(index));
  item.append(button);
  return item;
}

unpack().then(() => {
  indexTracks();
  readColours();
  fillIn();
  listen();
  showAnswers();
  sizeTree();
  choose(-1);
  show(0);
}).catch((error) => {
  element("failure").hidden = false;
  element("failure").textContent = `The page could not be drawn (${error.message}); a newer browser may show it.`;
  throw error;
});

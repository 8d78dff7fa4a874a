// Links to decide: their two frames side by side, the answers, and the table of corrections.

const MAX_DAUGHTERS = 2;
const HANDLE = 9;  // CSS pixels around the middle of a link within which a click deletes it
const decisions = [];  // in order: the open question, and the row that answers it
const picked = { before: -1, after: -1 };  // objects clicked in the two frames
let isUnsaved = false;

const isSame = (one, other) => one.every((cell, place) => cell === other[place]);

// The rows of the table; later rows replace earlier ones that they contradict.
function decidedRows() {
  let rows = report.corrections.slice();
  for (const { row: [fromFrame, from, toFrame, to, verdict] } of decisions) {
    const row = [fromFrame, from, toFrame, to, verdict];
    rows = rows.filter((other) => {
      const isSameLink = isSame(other.slice(0, 4), row);
      const isItsParent = other[4] === "link" && other[2] !== "" && isSame(other.slice(2, 4), [toFrame, to]);
      const isItsEnd = other[2] === "" && isSame(other.slice(0, 2), [fromFrame, from]);
      return !isSameLink && !(verdict === "link" && (isItsParent || isItsEnd));
    });
    rows.push(row);
  }
  return rows;
}

// The parent of a question's object in the result, or null.
const parentOf = ({ source }) => (source?.frame === undefined ? null : source);

// The answer to a question in a word, or ""; the last decision counts.
function answer(link, rows) {
  const { target } = link, source = parentOf(link);
  for (const [fromFrame, from, toFrame, to, verdict] of rows.slice().reverse()) {
    if (toFrame !== target.frame || to !== target.label) continue;
    const isChosen = source ? fromFrame === source.frame && from === source.label : fromFrame === "";
    if (verdict === "link") return isChosen ? "right" : fromFrame === "" ? "no parent" : `from object ${from}`;
    if (isChosen) return "wrong";
  }
  return "";
}

function say(text) {
  element("said").textContent = text;
}

// Adds a decision and shows the next open question.
function decide(source, target, verdict) {
  const row = [source?.frame ?? "", source?.label ?? "", target.frame, target.label, verdict];
  const daughters = decidedRows().filter((other) =>
    source && other[4] === "link" && isSame(other.slice(0, 2), row) && !isSame(other.slice(2, 4), row.slice(2)));
  if (verdict === "link" && daughters.length >= MAX_DAUGHTERS) {
    return say(`Object ${source.label} of frame ${source.frame} has two daughters already.`);
  }
  decisions.push({ link: state.link, row });
  isUnsaved = true;
  picked.before = picked.after = -1;
  const from = source ? `object ${source.label} of frame ${source.frame}` : "no parent";
  say(`Object ${target.label} of frame ${target.frame}: ${verdict === "link" ? "" : "not "}from ${from}.`);
  showAnswers();
  const open = nextOpen();
  if (open >= 0) visitLink(open); else redraw();
}

// The next question without an answer after the shown one, or else the first; or -1.
function nextOpen() {
  const rows = decidedRows(), open = (link) => !answer(link, rows);
  const later = report.links.findIndex((link, index) => index > state.link && open(link));
  return later >= 0 ? later : report.links.findIndex(open);
}

const question = () => report.links[state.link];
const parents = () => question().alternatives.filter((other) => other.frame !== undefined);

function isRight() {
  if (state.link >= 0) decide(parentOf(question()), question().target, "link");
}

function isWrong() {
  if (state.link < 0) return;
  const source = parentOf(question());
  if (source) decide(source, question().target, "no-link");
  else say("Choose its parent: press its number, or click both objects.");
}

function hasNoParent() {
  if (state.link >= 0) decide(null, question().target, "link");
}

function isFrom(number) {
  if (state.link >= 0 && parents()[number - 1]) decide(parents()[number - 1], question().target, "link");
}

function undo() {
  const last = decisions.pop();
  if (!last) return;
  isUnsaved = decisions.length > 0;
  showAnswers();
  say("The last decision is undone.");
  visitLink(last.link);
}

function showAnswers() {
  const rows = decidedRows();
  const answers = report.links.map((link) => answer(link, rows));
  element("links").querySelectorAll("button em").forEach((node, index) => { node.textContent = answers[index]; });
  element("progress").textContent = `${answers.filter(Boolean).length} of ${answers.length} decided`;
  element("save").disabled = rows.length === 0;
  element("undo").disabled = decisions.length === 0;
}

function save() {
  const lines = ["source_frame,source_label,target_frame,target_label,verdict", ...decidedRows().map((row) => row.join())];
  const link = made("a", undefined, { download: "corrections.csv" });
  link.href = URL.createObjectURL(new Blob([lines.join("\n") + "\n"], { type: "text/csv" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  isUnsaved = false;
}

// The frame before the question's object, in which its possible parents are.
const frameBefore = () => (parentOf(question()) || parents()[0] || { frame: question().target.frame - 1 }).frame;
const paneFrames = () => ({ before: frameBefore(), after: question().target.frame });
const shownIndex = (frame) => report.frames.indexOf(frame);

// Scale and offset of a frame on a pane: around the question's object, with its possible parents in sight.
function paneSight(canvas) {
  const { target } = question(), source = parentOf(question());
  const away = [source, ...parents()].map((other) => (other ? Math.hypot(other.x - target.x, other.y - target.y) : 0));
  const reach = Math.max(LINK_SPACINGS / 2 * spacing, 1.3 * Math.max(0, ...away));
  const scale = Math.min(MAX_ZOOM, canvas.clientWidth / (2 * reach));
  return { scale, left: canvas.clientWidth / 2 - scale * target.x, top: canvas.clientHeight / 2 - scale * target.y };
}

function drawPanes() {
  element("panes").hidden = element("answers").hidden = state.link < 0;
  if (state.link < 0) return;
  const { target } = question(), source = parentOf(question()), frames = paneFrames();
  for (const [name, frame] of Object.entries(frames)) {
    element(`${name}-frame`).textContent = `frame ${frame}`;
    const context = sized(element(name)), sight = paneSight(element(name));
    drawPane(context, shownIndex(frame), sight);
    context.lineWidth = 2 / sight.scale;
    if (name === "before") {
      if (source) mark(context, source, "✓", "#fff", sight.scale);
      parents().slice(0, 9).forEach((other, index) => mark(context, other, index + 1, "#ffd9c7", sight.scale));
    } else {
      drawResultLinks(context, sight.scale);
      mark(context, target, "", "#ff7a52", sight.scale);
    }
    if (picked[name] >= 0) mark(context, { x: arrays.object_x[picked[name]] / UNITS, y: arrays.object_y[picked[name]] / UNITS }, "•", "#7dffb0", sight.scale);
    context.restore();
  }
}

// Draws a frame; the context uses its pixels until it is restored.
function drawPane(context, shown, { scale, left, top }) {
  context.fillStyle = "#0d0e10";
  context.fillRect(0, 0, context.canvas.clientWidth, context.canvas.clientHeight);
  context.fillStyle = "#9ea2a8";
  context.font = "12px system-ui, sans-serif";
  if (shown < 0) context.fillText("The page does not contain this frame.", 10, 20);
  context.save();
  context.translate(left, top);
  context.scale(scale, scale);
  if (shown < 0) return;
  const image = picture(shown);
  if (image?.complete) context.drawImage(image, 0, 0, frameWidth, frameHeight);
  framePaths(shown).hues.forEach(({ outlines, dots }, hue) => {
    context.strokeStyle = hue < N_HUES ? colours.film[hue] : "#8b8f94";
    context.lineCap = "round";
    context.lineWidth = (hasOutlines ? 1.4 : 7) / scale;
    context.stroke(hasOutlines ? outlines : dots);
  });
}

function mark(context, { x, y }, text, colour, scale) {
  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 2 / scale;
  context.beginPath();
  context.arc(x, y, 11 / scale, 0, 2 * Math.PI);
  context.stroke();
  context.font = `600 ${14 / scale}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.shadowColor = "#000";
  context.shadowBlur = 4;
  context.fillText(text, x, y);
  context.shadowBlur = 0;
}

// The links of the result between the two frames: [object before, object after].
function resultLinks() {
  const { before, after } = paneFrames(), from = shownIndex(before), to = shownIndex(after);
  const links = [], isThinned = report.frames[1] > 1;  // then the object before is not the one linked
  if (from < 0 || to < 0 || isThinned) return links;
  for (let object = arrays.object_start[to]; object < arrays.object_start[to + 1]; object++) {
    let track = arrays.object_track[object], last = tracks.start[track] + tracks.rank[object] - 1;
    if (track >= tracks.count) continue;
    if (tracks.rank[object] === 0) {
      track = arrays.track_parent[track];
      if (track < 0) continue;
      last = tracks.start[track + 1] - 1;
    }
    if (last >= tracks.start[track] && tracks.frame[tracks.objects[last]] === from) links.push([tracks.objects[last], object]);
  }
  return links;
}

const middleOf = ([from, to]) => ["x", "y"].map((axis) => (arrays[`object_${axis}`][from] + arrays[`object_${axis}`][to]) / 2 / UNITS);

// Draws each link with a handle in its middle; a click on it deletes the link.
function drawResultLinks(context, scale) {
  for (const link of resultLinks()) {
    const [x, y] = middleOf(link);
    context.strokeStyle = context.fillStyle = "#fff";
    context.lineWidth = 1.6 / scale;
    context.beginPath();
    link.forEach((object) => context.lineTo(arrays.object_x[object] / UNITS, arrays.object_y[object] / UNITS));
    context.stroke();
    context.beginPath();
    context.arc(x, y, 3 / scale, 0, 2 * Math.PI);
    context.fill();
  }
}

// A click on a link deletes it; a click on an object in each frame links them.
function clickPane(name, event) {
  const sight = paneSight(element(name)), shown = shownIndex(paneFrames()[name]);
  if (shown < 0) return;
  const x = (event.offsetX - sight.left) / sight.scale, y = (event.offsetY - sight.top) / sight.scale;
  const link = name === "after" && resultLinks().find((one) => {
    const [middleX, middleY] = middleOf(one);
    return Math.hypot(middleX - x, middleY - y) < HANDLE / sight.scale;
  });
  if (link) return decide(placeOfObject(link[0]), placeOfObject(link[1]), "no-link");
  picked[name] = objectAt(shown, x, y, sight.scale);
  if (picked.before >= 0 && picked.after >= 0) decide(placeOfObject(picked.before), placeOfObject(picked.after), "link");
  redraw();
}

function placeOfObject(object) {
  return { frame: report.frames[tracks.frame[object]], label: arrays.object_label[object] };
}

function listenToDecisions() {
  for (const name of ["before", "after"]) element(name).addEventListener("click", (event) => clickPane(name, event));
  for (const [id, act] of Object.entries({ right: isRight, wrong: isWrong, none: hasNoParent, undo, save })) {
    element(id).addEventListener("click", act);
  }
  new ResizeObserver(redraw).observe(element("before"));
  addEventListener("beforeunload", (event) => isUnsaved && event.preventDefault());
  element("command").textContent = report.command;
  element("again").hidden = !report.command;
}

// A button for each possible parent of the question.
function showParents() {
  const buttons = state.link < 0 ? [] : parents().slice(0, 9).map((other, index) => {
    const button = made("button", `${index + 1} object ${other.label}`, { type: "button" });
    button.addEventListener("click", () => isFrom(index + 1));
    return button;
  });
  element("parents").replaceChildren(...buttons);
}

// Small charts, drawn once; charts over time show the current frame and can be clicked.

const CHART = { width: 320, height: 150, left: 46, right: 8, top: 8, bottom: 30 };
const playheads = [];

function svg(name, attributes, text) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

// About `count` round numbers from 0 to at most `largest`.
function niceTicks(largest, count) {
  const rough = Math.max(largest, 1e-9) / count, ten = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * ten).find((size) => size >= rough);
  return Array.from({ length: Math.floor(largest / step + 1e-9) + 1 }, (_, index) => +(index * step).toPrecision(6));
}

function drawChart(chart) {
  const { width, height, left, right, top, bottom } = CHART;
  const figure = made("figure"), caption = made("figcaption");
  caption.append(made("b", chart.title), made("span", chart.says, { class: "quiet" }));
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${chart.title}: ${chart.says}` });
  const largest = Math.max(1, ...chart.values), end = chart.start + chart.width * chart.values.length;
  const x = (value) => left + ((width - left - right) * (value - chart.start)) / (end - chart.start);
  const grown = chart.is_log ? (value) => Math.log10(1 + 9 * value) : (value) => value;
  const y = (value) => height - bottom - ((height - top - bottom) * grown(value)) / grown(largest);
  const ticks = chart.is_log ? [0, 1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7].filter((tick) => tick <= largest) : niceTicks(largest, 3);
  for (const tick of ticks.filter(Number.isInteger)) {
    root.append(svg("line", { x1: left, x2: width - right, y1: y(tick), y2: y(tick) }));
    root.append(svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, tick.toLocaleString("en")));
  }
  for (const tick of niceTicks(end, 5).filter((value) => value >= chart.start && x(value) < width - 12)) {
    root.append(svg("text", { x: x(tick), y: height - bottom + 15, "text-anchor": "middle" }, tick.toLocaleString("en")));
  }
  root.append(svg("text", { x: width - right, y: height - 2, "text-anchor": "end" }, chart.x));
  drawValues(root, chart, x, y);
  if (chart.x === "frame") {
    figure.className = "time";
    const line = svg("line", { class: "playhead", y1: top, y2: height - bottom });
    root.append(line);
    playheads.push((frame) => { for (const side of ["x1", "x2"]) line.setAttribute(side, x(frame + 0.5)); });
    root.addEventListener("click", (event) => {
      const box = root.getBoundingClientRect();
      const share = ((event.clientX - box.left) * width) / box.width - left;
      show(nearestShown(Math.floor((share * end) / (width - left - right))));
    });
  }
  figure.append(caption, root);
  element("charts").append(figure);
}

// Counts of objects are a line, other values are bars; each bin has a tooltip.
function drawValues(root, chart, x, y) {
  const at = (bin) => chart.start + bin * chart.width;
  if (chart.y === "objects") {
    const points = chart.values.map((value, bin) => `${x(at(bin + 0.5)).toFixed(1)} ${y(value).toFixed(1)}`);
    root.append(svg("path", { class: "area", d: `M${x(at(0.5))} ${y(0)} L${points.join(" L")} V${y(0)}` }));
    root.append(svg("path", { d: `M${points.join(" L")}` }));
  }
  chart.values.forEach((value, bin) => {
    const place = { x: x(at(bin)), width: Math.max(0.5, x(at(bin + 1)) - x(at(bin))) };
    if (chart.y !== "objects" && value > 0) {
      const gap = place.width > 4 ? 1 : 0;
      root.append(svg("rect", { x: place.x + gap / 2, width: place.width - gap, y: y(value), height: y(0) - y(value) }));
    }
    const hit = svg("rect", { class: "hit", ...place, y: CHART.top, height: CHART.height - CHART.top - CHART.bottom });
    hit.append(svg("title", {}, `${binName(chart, bin)}: ${value.toLocaleString("en")} ${chart.y}`));
    root.append(hit);
  });
}

function binName(chart, bin) {
  const first = chart.start + bin * chart.width;
  if (chart.x === "score") return `${first.toFixed(2)} to ${(first + chart.width).toFixed(2)}`;
  const last = first + chart.width - 1, span = last > first ? `${first} to ${last}` : `${first}`;
  return chart.x === "frame" ? `frame ${span}` : `${span} frames`;
}

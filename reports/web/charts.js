// Lines and points as SVG, from the charts that Python prepared.

// Told apart without colour vision too: neighbours differ in brightness, and dashes change each round.
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c564b", "#7f7f7f"];
const DASHES = ["", "7 4", "2 3"];
const SIZE = { width: 640, height: 400, left: 56, right: 16, top: 12, bottom: 48 };

// On a phone the picture is drawn smaller, not its letters.
function fitTo(place) {
  SIZE.width = Math.max(280, Math.min(640, place.clientWidth || 640));
  SIZE.height = Math.round(Math.max(260, SIZE.width * 0.625));
}

const colour = (i) => COLOURS[i % COLOURS.length];
const dash = (i) => DASHES[Math.floor(i / COLOURS.length) % DASHES.length];
const short = (value) => String(Number(value.toPrecision(4)));

function niceTicks(low, high, count = 6) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function scale(values, from, to, { log = false, pad = 0.06 } = {}) {
  const at = log ? Math.log2 : (value) => value;
  let low = Math.min(...values.map(at));
  let high = Math.max(...values.map(at));
  const margin = (high - low || Math.abs(high) * 0.1 || 1) * pad;
  low -= margin;
  high += margin;
  const place = (value) => from + ((at(value) - low) / (high - low)) * (to - from);
  return { place, low, high };
}

function axes(chart, x, y, xTicks) {
  const bottom = SIZE.height - SIZE.bottom;
  const right = SIZE.width - SIZE.right;
  const drawn = svg("g");
  for (const tick of niceTicks(y.low, y.high)) {
    const at = y.place(tick);
    drawn.append(svg("line", { x1: SIZE.left, x2: right, y1: at, y2: at, class: "grid" }));
    drawn.append(svg("text", { x: SIZE.left - 8, y: at + 4, "text-anchor": "end" }, short(tick)));
  }
  for (const [value, name] of xTicks) {
    const at = x.place(value);
    drawn.append(svg("line", { x1: at, x2: at, y1: bottom, y2: bottom + 5, class: "axis" }));
    drawn.append(svg("text", { x: at, y: bottom + 20, "text-anchor": "middle" }, name));
  }
  drawn.append(svg("line", { x1: SIZE.left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
  drawn.append(svg("text", { x: (SIZE.left + right) / 2, y: SIZE.height - 8, "text-anchor": "middle" }, chart.x));
  const middle = (SIZE.top + bottom) / 2;
  const turned = { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` };
  drawn.append(svg("text", turned, chart.y));
  return drawn;
}

function band(points, x, y) {
  const upper = points.map((p) => `${x.place(p.x)},${y.place(p.y + (p.deviation ?? 0))}`);
  const lower = points.map((p) => `${x.place(p.x)},${y.place(p.y - (p.deviation ?? 0))}`).reverse();
  return svg("polygon", { points: [...upper, ...lower].join(" "), "fill-opacity": 0.15, stroke: "none" });
}

function describe(chart, series, p) {
  const spread = p.deviation == null ? "" : ` ± ${p.deviation.toFixed(2)}`;
  const at = chart.ticks?.[p.x] ?? short(p.x);
  const seeds = p.seeds ? ` (n=${p.seeds}${p.incomplete ? ", incomplete: " + p.incomplete : ""})` : "";
  return `${series.label}: ${chart.x} ${at}, ${chart.y} ${short(p.y)}${spread}${seeds}`;
}

function lineOf(chart, series, i, x, y) {
  const points = [...series.points].sort((a, b) => a.x - b.x);
  const group = svg("g", { fill: colour(i), stroke: colour(i) });
  if (points.length > 1) {
    if (points.some((p) => p.deviation)) group.append(band(points, x, y));
    const path = points.map((p) => `${x.place(p.x)},${y.place(p.y)}`).join(" ");
    group.append(svg("polyline", { points: path, fill: "none", "stroke-width": 2, "stroke-dasharray": dash(i) }));
  }
  for (const p of points.length > 60 ? [] : points) {
    const at = { cx: x.place(p.x), cy: y.place(p.y), r: chart.kind === "scatter" ? 6 : 4, "stroke-width": 2 };
    const dot = svg("circle", at, svg("title", {}, describe(chart, series, p)));
    if (p.incomplete) dot.classList.add("hollow");
    group.append(dot);
  }
  return group;
}

// Beside each point, unless it would run into one that is there already; the legend has all names.
function addNames(chart, lines, x, y) {
  const taken = chart.series.map(({ points: [p] }) => ({ left: x.place(p.x) - 7, right: x.place(p.x) + 7, y: y.place(p.y) }));
  chart.series.forEach(({ label, points: [p] }, i) => {
    const length = 8.5 * label.length;
    const at = { x: x.place(p.x), y: y.place(p.y) };
    const corners = [[10, 0], [-10 - length, 0], [-length / 2, -15], [-length / 2, 15]];
    const sides = corners.map(([dx, dy]) => ({ left: at.x + dx, right: at.x + dx + length, y: at.y + dy }));
    const inside = (box) => box.left > SIZE.left && box.right < SIZE.width && box.y > 6;
    const apart = (a, b) => a.right < b.left || b.right < a.left || Math.abs(a.y - b.y) > 13;
    const box = sides.find((side) => inside(side) && taken.every((other, j) => j === i || apart(side, other)));
    if (!box) return;
    taken.push(box);
    const place = { x: (box.left + box.right) / 2, y: box.y + 4, "text-anchor": "middle", stroke: "none" };
    lines[i].append(svg("text", place, label));
  });
}

function ticksOf(chart, x, values) {
  if (chart.ticks?.length) return chart.ticks.map((name, i) => [i, name]);
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  if (distinct.length <= 10 && chart.kind !== "scatter") return distinct.map((value) => [value, short(value)]);
  return niceTicks(x.low, x.high).map((value) => [value, short(value)]);
}

function draw(chart) {
  const picture = svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": chart.name });
  const points = chart.series.flatMap((series) => series.points);
  const xs = points.map((p) => p.x);
  const ys = points.flatMap((p) => [p.y - (p.deviation ?? 0), p.y + (p.deviation ?? 0)]);
  const x = scale(xs, SIZE.left, SIZE.width - SIZE.right, { log: chart.doubling });
  const y = scale(ys, SIZE.height - SIZE.bottom, SIZE.top);
  picture.append(axes(chart, x, y, ticksOf(chart, x, xs)));
  const lines = chart.series.map((series, i) => lineOf(chart, series, i, x, y));
  picture.append(...lines);
  if (chart.kind === "scatter") addNames(chart, lines, x, y);
  const legend = html("div", { class: "legend" });
  chart.series.forEach((series, i) => {
    const swatch = html("span", { class: "swatch" });
    swatch.style.background = colour(i);
    const button = html("button", { type: "button", "aria-pressed": "true" }, swatch, series.label);
    button.addEventListener("click", () => {
      const hidden = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!hidden));
      lines[i].setAttribute("visibility", hidden ? "hidden" : "visible");
    });
    legend.append(button);
  });
  return html("figure", {}, html("figcaption", {}, chart.name), picture, told(), legend);
}

// A heading, a choice where there are several charts, and the chosen one.
function chooser(title, charts) {
  const place = html("div", { class: "chosen" });
  let chosen = 0;
  const show = (i) => {
    chosen = i;
    fitTo(place);
    place.replaceChildren(draw(charts[i]));
  };
  let width = 0; // the first observation comes when the place is in the page and has a width
  new ResizeObserver(() => {
    if (place.clientWidth !== width) show(chosen);
    width = place.clientWidth;
  }).observe(place);
  const found = [html("h3", {}, title)];
  if (charts.length > 1) {
    const select = html("select", { "aria-label": title });
    charts.forEach((chart, i) => select.append(html("option", { value: i }, chart.name)));
    select.addEventListener("change", () => show(Number(select.value)));
    found.push(html("p", { class: "controls" }, select));
  }
  show(0);
  return [...found, place];
}

const KINDS = { few_shot: "Accuracy over shots", scatter: "Base against new", ablation: "Ablations" };
for (const [kind, title] of Object.entries(KINDS)) {
  const charts = DATA.charts.filter((chart) => chart.kind === kind);
  if (charts.length) document.getElementById("chart-list").append(...chooser(title, charts));
}

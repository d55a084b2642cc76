// Lines and points as SVG, from the charts that Python prepared.

const DASHES = ["", "7 4", "2 3", "9 3 2 3", "4 2"];
const CORNERS = [ // of each round of colours, as in the figures; none: a circle
  null,
  [[-1, -1], [1, -1], [1, 1], [-1, 1]],
  [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]],
  [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]],
  [[0, 1.3], [1.2, -0.9], [-1.2, -0.9]],
];

const colour = (style) => DATA.colours[style % DATA.colours.length];
const round = (style) => Math.floor(style / DATA.colours.length) % CORNERS.length;
const short = (value) => String(Number(value.toPrecision(4)));

// On a phone the image is drawn smaller, not its letters.
function frameOf(width) {
  const wide = Math.max(270, Math.min(720, width));
  return { width: wide, height: Math.round(Math.max(250, wide * 0.62)), left: 56, right: 16, top: 12, bottom: 48 };
}

function niceTicks(low, high, count = 6) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) ticks.push(i * step);
  return ticks;
}

function scale(values, from, to, { log = false, pad = 0.06 } = {}) {
  const at = log ? (value) => Math.log2(Math.max(value, 0.5)) : (value) => value; // 0 shots stand a step before 1
  let low = Math.min(...values.map(at));
  let high = Math.max(...values.map(at));
  const margin = (high - low || Math.abs(high) * 0.1 || 1) * pad;
  low -= margin;
  high += margin;
  const place = (value) => from + ((at(value) - low) / (high - low)) * (to - from);
  return { place, low, high };
}

function axes(chart, frame, x, y, xTicks) {
  const bottom = frame.height - frame.bottom;
  const right = frame.width - frame.right;
  const drawn = svg("g");
  for (const tick of niceTicks(y.low, y.high)) {
    const at = y.place(tick);
    drawn.append(svg("line", { x1: frame.left, x2: right, y1: at, y2: at, class: "grid" }));
    drawn.append(svg("text", { x: frame.left - 8, y: at + 4, "text-anchor": "end" }, short(tick)));
  }
  const roomy = (right - frame.left) / xTicks.length > 8 * Math.max(...xTicks.map(([, name]) => name.length));
  xTicks.forEach(([value, name], i) => {
    const at = x.place(value);
    drawn.append(svg("line", { x1: at, x2: at, y1: bottom, y2: bottom + 5, class: "axis" }));
    if (roomy || i % 2 === 0) drawn.append(svg("text", { x: at, y: bottom + 20, "text-anchor": "middle" }, name));
  });
  drawn.append(svg("line", { x1: frame.left, x2: right, y1: bottom, y2: bottom, class: "axis" }));
  drawn.append(svg("text", { x: (frame.left + right) / 2, y: frame.height - 8, "text-anchor": "middle" }, chart.x));
  const middle = (frame.top + bottom) / 2;
  const turned = { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` };
  drawn.append(svg("text", turned, chart.y));
  return drawn;
}

// Thin lines of equal harmonic mean through a plot of base and new.
function sameMeans(frame, x, y) {
  const mean = (base, fresh) => (base > 0 && fresh > 0 ? (2 * base * fresh) / (base + fresh) : 0);
  const drawn = svg("g", { class: "means" });
  for (const value of niceTicks(mean(x.low, y.low), mean(x.high, y.high), 5)) {
    const line = [];
    for (let i = 0; i <= 100; i++) {
      const base = x.low + ((x.high - x.low) * i) / 100;
      const fresh = (value * base) / (2 * base - value);
      if (2 * base > value && fresh >= y.low && fresh <= y.high) line.push([x.place(base), y.place(fresh)]);
    }
    if (line.length < 10) continue; // of 101: nothing but its label in a corner
    drawn.append(svg("polyline", { points: line.map((at) => at.join(",")).join(" "), fill: "none" }));
    const [atX, atY] = line[line.length - 1];
    drawn.append(svg("text", { x: atX, y: atY - 4, "text-anchor": "end" }, `H ${short(value)}`));
  }
  return drawn;
}

function band(points, x, y) {
  const upper = points.map((p) => `${x.place(p.x)},${y.place(p.y + (p.deviation ?? 0))}`);
  const lower = points.map((p) => `${x.place(p.x)},${y.place(p.y - (p.deviation ?? 0))}`).reverse();
  return svg("polygon", { points: [...upper, ...lower].join(" "), "fill-opacity": 0.15, stroke: "none" });
}

function bars(p, x, y) {
  const [atX, atY] = [x.place(p.x), y.place(p.y)];
  const [across, up] = [p.x_deviation ?? 0, p.deviation ?? 0];
  return [
    svg("line", { x1: x.place(p.x - across), x2: x.place(p.x + across), y1: atY, y2: atY }),
    svg("line", { x1: atX, x2: atX, y1: y.place(p.y - up), y2: y.place(p.y + up) }),
  ];
}

// A circle, square or triangle around a place.
function dot(style, atX, atY, size, ...children) {
  if (style === "star") {
    const star = Array.from({ length: 10 }, (_, i) => {
      const [reach, turn] = [size * (i % 2 ? 0.8 : 2), (Math.PI * (i - 2.5)) / 5];
      return `${atX + reach * Math.cos(turn)},${atY + reach * Math.sin(turn)}`;
    });
    return svg("polygon", { class: "point", points: star.join(" ") }, ...children);
  }
  const corners = CORNERS[round(style)];
  if (!corners) return svg("circle", { class: "point", cx: atX, cy: atY, r: size, "stroke-width": 2 }, ...children);
  const points = corners.map(([dx, dy]) => `${atX + dx * size * 0.9},${atY + dy * size * 0.9}`).join(" ");
  return svg("polygon", { class: "point", points, "stroke-width": 2 }, ...children);
}

function describe(chart, series, p) {
  const spread = p.deviation == null ? "" : ` ± ${p.deviation.toFixed(2)}`;
  const sideways = p.x_deviation == null ? "" : ` ± ${p.x_deviation.toFixed(2)}`;
  const at = chart.ticks?.[p.x] ?? short(p.x);
  const seeds = p.seeds ? ` (n=${p.seeds}${p.incomplete ? ", incomplete: " + p.incomplete : ""})` : "";
  return `${series.label}: ${chart.x} ${at}${sideways}, ${chart.y} ${short(p.y)}${spread}${seeds}`;
}

function lineOf(chart, series, x, y) {
  const points = [...series.points].sort((a, b) => a.x - b.x);
  const group = svg("g", { fill: colour(series.style), stroke: colour(series.style) });
  if (points.length > 1) {
    if (points.some((p) => p.deviation)) group.append(band(points, x, y));
    const path = points.map((p) => `${x.place(p.x)},${y.place(p.y)}`).join(" ");
    const dash = DASHES[round(series.style)];
    group.append(svg("polyline", { points: path, fill: "none", "stroke-width": 2, "stroke-dasharray": dash }));
  }
  for (const p of points.length > 60 ? [] : points) {
    if (chart.kind === "scatter") group.append(...bars(p, x, y));
    const title = svg("title", {}, describe(chart, series, p));
    const drawn = dot(series.star ? "star" : series.style, x.place(p.x), y.place(p.y), chart.kind === "scatter" ? 5.5 : 4, title);
    if (p.incomplete) drawn.classList.add("hollow");
    group.append(drawn);
  }
  return group;
}

const pen = document.createElement("canvas").getContext("2d");

// Beside each point where there is room; a name that finds room only farther away is tied to its point by a line, and
// one that finds none is left to the legend.
function addNames(chart, frame, lines, x, y) {
  pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const taken = chart.series.map(({ points: [p] }) => ({ left: x.place(p.x) - 7, right: x.place(p.x) + 7, y: y.place(p.y) }));
  chart.series.forEach(({ label, points: [p] }, i) => {
    const length = pen.measureText(label).width;
    const at = { x: x.place(p.x), y: y.place(p.y) };
    const far = [24, 40, 60, 85].flatMap((by) => [[8, -by], [8, by], [-8 - length, -by], [-8 - length, by], [by, 0], [-by - length, 0]]);
    const corners = [8, -8 - length].flatMap((across) => [[across, -9], [across, 9]]); // between the bars
    corners.push([11, 0], [-11 - length, 0], [-length / 2, -15], [-length / 2, 15], [8, -15], [8, 15], [-8 - length, 15], ...far);
    const sides = corners.map(([dx, dy]) => ({ left: at.x + dx, right: at.x + dx + length, y: at.y + dy }));
    const inside = (box) => box.left > frame.left && box.right < frame.width && box.y > 6;
    const apart = (a, b) => a.right < b.left || b.right < a.left || Math.abs(a.y - b.y) > 12;
    const box = sides.filter(inside).find((side) => taken.every((other, j) => j === i || apart(side, other)));
    if (!box) return;
    if (Math.abs(box.y - at.y) > 20 || box.left - at.x > 20 || at.x - box.right > 20) {
      const end = Math.min(Math.max(at.x, box.left), box.right);
      lines[i].append(svg("line", { class: "tie", x1: at.x, y1: at.y, x2: end, y2: box.y + (box.y < at.y ? 5 : -5) }));
    }
    taken.push(box);
    const [atX, anchor] = box.left >= at.x ? [box.left, "start"] : box.right <= at.x ? [box.right, "end"] : [at.x, "middle"];
    lines[i].append(svg("text", { class: "name", x: atX, y: box.y + 4, "text-anchor": anchor }, label));
  });
}

function ticksOf(chart, x, values) {
  if (chart.ticks?.length) return chart.ticks.map((name, i) => [i, name]);
  const distinct = [...new Set(values)].sort((a, b) => a - b);
  if (distinct.length <= 10 && chart.kind !== "scatter") return distinct.map((value) => [value, short(value)]);
  return niceTicks(x.low, x.high).map((value) => [value, short(value)]);
}

// One panel and its lines by name.
function draw(chart, width) {
  const frame = frameOf(width);
  const image = svg("svg", { viewBox: `0 0 ${frame.width} ${frame.height}`, role: "img", "aria-label": `${chart.group} ${chart.name}` });
  image.style.maxWidth = `${frame.width}px`;
  const points = chart.series.flatMap((series) => series.points);
  const xs = points.flatMap((p) => [p.x - (p.x_deviation ?? 0), p.x + (p.x_deviation ?? 0)]);
  const ys = points.flatMap((p) => [p.y - (p.deviation ?? 0), p.y + (p.deviation ?? 0)]);
  const x = scale(xs, frame.left, frame.width - frame.right, { log: chart.doubling });
  const y = scale(ys, frame.height - frame.bottom, frame.top);
  image.append(axes(chart, frame, x, y, ticksOf(chart, x, xs)));
  if (chart.kind === "scatter") image.append(sameMeans(frame, x, y));
  const lines = chart.series.map((series) => lineOf(chart, series, x, y));
  image.append(...lines);
  if (chart.kind === "scatter") addNames(chart, frame, lines, x, y);
  const caption = chart.name ? [html("figcaption", {}, chart.name)] : [];
  const figure = html("figure", {}, ...caption, image, hoverLine());
  return { figure, lines: new Map(chart.series.map((series, i) => [series.label, lines[i]])) };
}

// The names of all panels' lines; each hides its lines.
function legendOf(charts, drawn) {
  const legend = html("div", { class: "legend" });
  const styles = new Map(charts.flatMap((chart) => chart.series.map((series) => [series.label, series.style])));
  for (const [label, style] of styles) {
    const swatch = svg("svg", { class: "swatch", viewBox: "-7 -7 14 14", fill: colour(style), stroke: colour(style) }, dot(style, 0, 0, 4.5));
    const button = html("button", { type: "button", "aria-pressed": "true" }, swatch, label);
    button.addEventListener("click", () => {
      const hidden = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!hidden));
      for (const { lines } of drawn) lines.get(label)?.setAttribute("visibility", hidden ? "hidden" : "visible");
    });
    legend.append(button);
  }
  return legend;
}

// A card with a heading, a choice where there are several figures, and the chosen one: panels beside one another.
function chooser(title, charts) {
  const groups = [...grouped(charts, (chart) => chart.group).values()];
  const place = html("div", { class: "chosen" });
  let chosen = 0;
  const show = (i) => {
    chosen = i;
    const panels = groups[i];
    const whole = place.clientWidth || 720;
    const beside = Math.max(1, Math.min(panels.length, Math.floor(whole / 300)));
    const drawn = panels.map((chart) => draw(chart, whole / beside - 12));
    const row = html("div", { class: "panels" }, ...drawn.map(({ figure }) => figure));
    row.style.gridTemplateColumns = `repeat(${beside}, minmax(0, 1fr))`;
    const names = panels.flatMap((chart) => chart.series).length > 1 ? [legendOf(panels, drawn)] : [];
    place.replaceChildren(html("p", { class: "chart-title" }, panels[0].group), row, ...names);
  };
  let width = 0; // the first observation comes when the place is in the page and has a width
  new ResizeObserver(() => {
    if (place.clientWidth !== width) show(chosen);
    width = place.clientWidth;
  }).observe(place);
  const card = html("div", { class: "card" }, html("h3", {}, title));
  if (charts.some((chart) => chart.name)) card.classList.add("whole");
  if (groups.length > 1) {
    const select = html("select", { "aria-label": title });
    groups.forEach(([chart], i) => select.append(html("option", { value: i }, chart.group)));
    select.addEventListener("change", () => show(Number(select.value)));
    card.append(html("p", { class: "controls" }, select));
  }
  card.append(place);
  show(0);
  return card;
}

const KINDS = { few_shot: "Accuracy over shots", scatter: "Base against new", coverage: "Accuracy over coverage", ablation: "Ablations" };
for (const [kind, title] of Object.entries(KINDS)) {
  const charts = DATA.charts.filter((chart) => chart.kind === kind);
  if (charts.length) document.getElementById("chart-list").append(chooser(title, charts));
}

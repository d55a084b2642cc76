// One chosen run: its training curve, the accuracy of each class, which classes were taken for which.

const HEATMAP_CLASSES = 120; // beyond, squares would be smaller than a pixel or two
const SQUARE = 20; // units of the image
const NAMED_CLASSES = 40; // beyond, names would run into one another

function trainingCharts(run) {
  const names = [...new Set(run.curve.flatMap((row) => Object.keys(row)))].filter((name) => name !== "epoch");
  return names.flatMap((name) => {
    const points = run.curve.filter((row) => row[name] != null).map((row) => ({ x: row.epoch, y: row[name] }));
    if (!points.length) return [];
    return [{ kind: "training", group: name, name: "", x: "epoch", y: name, series: [{ label: name, points, style: 0 }] }];
  });
}

function classBars(run) {
  const order = run.classes.map((_, i) => i).filter((i) => run.total[i]);
  order.sort((a, b) => run.correct[a] / run.total[a] - run.correct[b] / run.total[b]);
  const bars = html("div", { class: "bars" });
  for (const i of order) {
    const bar = html("div", { class: "bar" });
    bar.style.width = `${(100 * run.correct[i]) / run.total[i]}%`;
    const percent = `${((100 * run.correct[i]) / run.total[i]).toFixed(1)} % of ${run.total[i]}`;
    bars.append(html("span", {}, run.classes[i]), html("div", { class: "track" }, bar), html("span", {}, percent));
  }
  return bars;
}

// Names left of the rows and above the columns.
function classNames(run, letters, room) {
  const most = Math.floor(room / (letters * 0.6));
  const cut = (name) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);
  return run.classes.flatMap((name, i) => {
    const at = (i + 0.5) * SQUARE;
    const row = svg("text", { x: -6, y: at, "text-anchor": "end" }, cut(name), svg("title", {}, name));
    const column = svg("text", { x: 6, y: 0, transform: `translate(${at}, 0) rotate(-90)` }, cut(name), svg("title", {}, name));
    for (const text of [row, column]) text.style.fontSize = `${letters}px`;
    return [row, column];
  });
}

function heatmap(run) {
  const size = run.classes.length * SQUARE;
  const named = run.classes.length <= NAMED_CLASSES;
  const letters = Math.min(0.62 * SQUARE, size / 26);
  const longest = Math.max(...run.classes.map((name) => name.length));
  const room = named ? Math.min(size * 0.5, longest * letters * 0.6 + 14) : size / 100;
  const view = `${-room} ${-room} ${size + room * 1.02} ${size + room * 1.02}`;
  const image = svg("svg", { class: "heatmap", viewBox: view, role: "img", "aria-label": "confusion matrix" });
  image.append(svg("rect", { x: 0, y: 0, width: size, height: size, class: "ground" }));
  const right = run.correct.map((count, i) => [i, i, count]);
  for (const [truth, predicted, count] of [...right, ...run.pairs]) {
    if (!count) continue;
    const fraction = count / run.total[truth];
    const name = `${run.classes[truth]} taken for ${run.classes[predicted]}: ${count} of ${run.total[truth]}`;
    const box = { x: predicted * SQUARE, y: truth * SQUARE, width: SQUARE, height: SQUARE };
    const square = svg("rect", box, svg("title", {}, name));
    const hue = truth === predicted ? "--heat" : "--wrong";
    square.style.fill = `rgba(var(${hue}), ${(0.12 + 0.88 * fraction).toFixed(3)})`;
    image.append(square);
  }
  if (named) image.append(...classNames(run, letters, room - 8));
  return html("figure", {}, image, hoverLine());
}

function pairTable(run) {
  const body = html("tbody");
  for (const [truth, predicted, count] of run.pairs.slice(0, 100)) {
    const cells = [run.classes[truth], run.classes[predicted], count, run.total[truth]];
    body.append(html("tr", {}, ...cells.map((text, i) => html("td", i > 1 ? { class: "number" } : {}, String(text)))));
  }
  const names = ["class", "taken for", "times", "of"];
  const heads = names.map((text, i) => html("th", i > 1 ? { class: "number" } : {}, text));
  return html("div", { class: "wide pairs" }, html("table", {}, html("thead", {}, html("tr", {}, ...heads)), body));
}

function card(title, ...content) {
  return html("div", { class: "card" }, html("h3", {}, title), ...content);
}

function showRun(run) {
  const place = document.getElementById("run-details");
  const cards = html("div", { class: "cards" });
  place.replaceChildren(html("p", { class: "note" }, `${run.folder}: accuracy ${run.accuracy?.toFixed(2) ?? "unknown"} %`), cards);
  const curves = trainingCharts(run);
  if (curves.length) cards.append(chooser("Training, means of each epoch", curves));
  if (!run.classes.length) return;
  cards.append(card("Accuracy of each class, lowest first", classBars(run)));
  if (run.classes.length <= HEATMAP_CLASSES) {
    cards.append(card("Confusion matrix", html("p", { class: "note" }, "Rows: the classes. Columns: what they were taken for."), heatmap(run)));
  }
  if (run.pairs.length) cards.append(card("Most frequent confusions", pairTable(run)));
}

const choice = document.getElementById("run");
if (choice) {
  const numbered = DATA.runs.map((run, i) => [run, i]);
  for (const [method, runs] of grouped(numbered, ([run]) => run.label.split(",")[0])) {
    const group = html("optgroup", { label: method });
    group.append(...runs.map(([run, i]) => html("option", { value: i }, run.label)));
    choice.append(group);
  }
  choice.addEventListener("change", () => showRun(DATA.runs[Number(choice.value)]));
  showRun(DATA.runs[Number(choice.value)]);
}

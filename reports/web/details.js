// One chosen run: its training curve, the accuracy of each class, which classes were taken for which.

const HEATMAP_CLASSES = 120; // beyond, squares would be smaller than a pixel or two

function trainingCharts(run) {
  const names = [...new Set(run.curve.flatMap((row) => Object.keys(row)))].filter((name) => name !== "epoch");
  return names.flatMap((name) => {
    const points = run.curve.filter((row) => row[name] != null).map((row) => ({ x: row.epoch, y: row[name] }));
    if (!points.length) return [];
    return [{ kind: "training", name, x: "epoch", y: name, series: [{ label: name, points }] }];
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

function heatmap(run) {
  const size = run.classes.length;
  const picture = svg("svg", { viewBox: `${-size / 100} ${-size / 100} ${size * 1.02} ${size * 1.02}`, role: "img", "aria-label": "confusion matrix" });
  picture.append(svg("rect", { x: 0, y: 0, width: size, height: size, fill: "none", class: "grid", "stroke-width": size / 200 }));
  const right = run.correct.map((count, i) => [i, i, count]);
  for (const [truth, predicted, count] of [...right, ...run.pairs]) {
    if (!count) continue;
    const share = count / run.total[truth];
    const name = `${run.classes[truth]} taken for ${run.classes[predicted]}: ${count} of ${run.total[truth]}`;
    const square = svg("rect", { x: predicted, y: truth, width: 1, height: 1 }, svg("title", {}, name));
    square.style.fill = `rgba(var(--heat), ${(0.1 + 0.9 * share).toFixed(3)})`;
    picture.append(square);
  }
  return html("figure", {}, picture, told());
}

function pairTable(run) {
  const body = html("tbody");
  for (const [truth, predicted, count] of run.pairs.slice(0, 100)) {
    const cells = [run.classes[truth], run.classes[predicted], count, run.total[truth]];
    body.append(html("tr", {}, ...cells.map((text, i) => html("td", i > 1 ? { class: "number" } : {}, String(text)))));
  }
  const heads = ["class", "taken for", "times", "of"].map((text) => html("th", {}, text));
  return html("div", { class: "wide pairs" }, html("table", {}, html("thead", {}, html("tr", {}, ...heads)), body));
}

function showRun(run) {
  const place = document.getElementById("run-details");
  place.replaceChildren(html("p", { class: "note" }, `${run.folder}: accuracy ${run.accuracy?.toFixed(2) ?? "unknown"} %`));
  const curves = trainingCharts(run);
  if (curves.length) place.append(...chooser("Training, means of each epoch", curves));
  if (!run.classes.length) return;
  place.append(html("h3", {}, "Accuracy of each class, lowest first"), classBars(run));
  place.append(html("h3", {}, "Confusion matrix: rows are the classes, columns what they were taken for"));
  if (run.classes.length <= HEATMAP_CLASSES) place.append(heatmap(run));
  if (run.pairs.length) place.append(html("h3", {}, "Most frequent confusions"), pairTable(run));
}

const choice = document.getElementById("run");
if (choice) {
  DATA.runs.forEach((run, i) => choice.append(html("option", { value: i }, run.label)));
  choice.addEventListener("change", () => showRun(DATA.runs[Number(choice.value)]));
  showRun(DATA.runs[0]);
}

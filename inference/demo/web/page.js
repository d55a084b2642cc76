// The page of `mmrl demo`: images and class names in, each run's answers out. All state is in `items`.
"use strict";

const LARGEST = 45 * 2 ** 20; // bytes of an image; the server takes 64 MiB, and base64 is a third longer
const items = []; // {name, file, url, answers, old, node}
let about = { runs: [], names: [], examples: [] };
let asking = false;

const at = (id) => document.getElementById(id);

// Control characters, and those that turn the direction of writing, as their escapes; as safeio/escape.py does.
const plain = (text) => String(text).replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) =>
  "\n\t\u00ad\u200c\u200d".includes(character) ? character : `\\u{${character.codePointAt(0).toString(16)}}`);

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  if (properties.textContent !== undefined) node.textContent = plain(properties.textContent);
  node.append(...children.map((child) => (typeof child === "string" ? plain(child) : child)));
  return node;
}

async function post(path, content) {
  try {
    const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    return answer.ok ? await answer.json() : { problem: await answer.text() };
  } catch (error) {
    return { problem: `The page's server does not answer: ${error.message}. Is \`mmrl demo\` still running?` };
  }
}

const encoded = (file) => new Promise((done, fail) => {
  const reader = new FileReader();
  reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
  reader.onerror = () => fail(reader.error);
  reader.readAsDataURL(file);
});

const typed = () => at("names").value.split("\n").map((line) => line.trim()).filter(Boolean);

function say(problem) {
  at("problem").textContent = plain(problem || "");
  at("problem").hidden = !problem;
}

// ---- images

function add(files) {
  const found = [...files].filter((file) => file.type.startsWith("image/") || /\.\w+$/.test(file.name));
  const large = found.find((file) => file.size > LARGEST);
  say(large ? `${large.name} is larger than ${LARGEST / 2 ** 20} MiB: choose a smaller image.` : "");
  for (const file of found.filter((one) => one.size <= LARGEST)) {
    const item = { name: file.name, file, url: URL.createObjectURL(file), answers: null, old: true };
    items.unshift(item);
    draw(item);
    at("items").prepend(item.node);
  }
  at("answers").hidden = !items.length;
  ask();
}

function remove(item) {
  URL.revokeObjectURL(item.url);
  items.splice(items.indexOf(item), 1);
  item.node.remove();
  at("answers").hidden = !items.length;
}

// ---- answers: one image at a time, the newest first; what was asked with other names is asked again

function askAgain() {
  for (const item of items) {
    item.old = true;
    item.node.querySelector(".columns").classList.add("old");
  }
  ask();
}

async function ask() {
  if (asking) return;
  asking = true;
  for (let item; (item = items.find((one) => one.old)); ) {
    item.old = false; // set again if the names change meanwhile
    const names = typed();
    const found = await post("answers", { image: await encoded(item.file), names, topk: Number(at("topk").value) });
    if (item.old || !items.includes(item)) continue;
    item.answers = found;
    draw(item);
  }
  asking = false;
}

function draw(item) {
  const image = make("img", { src: item.url, alt: item.name });
  image.onerror = () => image.replaceWith(make("div", { className: "plain", textContent: "no preview" }));
  const away = make("button", { type: "button", textContent: "Remove", onclick: () => remove(item) });
  const columns = make("div", { className: "columns" });
  columns.classList.toggle("old", item.old);
  const { problem, answers } = item.answers || {};
  if (problem) columns.append(make("p", { className: "why", textContent: problem }));
  else if (!answers) columns.append(make("p", { className: "soft", textContent: "Computing …" }));
  else answers.forEach((answer, run) => columns.append(column(item, answer, run)));
  const node = make("article", { className: "item" },
    make("div", { className: "seen" }, image, make("div", {}, make("div", { textContent: item.name }), away)), columns);
  if (item.node) item.node.replaceWith(node);
  item.node = node;
  if (answers) legend(answers);
}

function column(item, answer, run) {
  const node = make("div", {}, make("h3", { textContent: about.runs[run].title }));
  if (answer.problem) {
    node.append(make("p", { className: "why", textContent: answer.problem }));
    return node;
  }
  const list = make("ol");
  for (const one of answer.top) {
    const bar = make("i");
    bar.style.width = `${100 * one.probability}%`;
    const button = make("button", { type: "button", className: "class", title: `${answer.rules[one.rule]} Click: where it looks.`,
      onclick: () => look(item, run, one.class) }, bar, make("span", { textContent: one.class }));
    if (one.new) button.append(make("em", { textContent: "new", title: "not trained on" }));
    button.append(make("b", { textContent: `${(100 * one.probability).toFixed(1)} %` }));
    list.append(make("li", {}, button));
  }
  node.append(list);
  return node;
}

function legend(answers) {
  const rules = Object.assign({}, ...answers.map((answer) => answer.rules || {}));
  const notes = answers.flatMap((answer) => answer.notes || []);
  at("rules").replaceChildren(
    ...Object.entries(rules).map(([rule, words]) => make("div", {}, make("dt", { textContent: `${rule}:` }), make("dd", { textContent: words }))),
    ...[...new Set(notes)].map((note) => make("div", { textContent: note })),
    make("div", { textContent: "Click an answer to see where the image encoder looks." }));
}

// ---- attention: in red over the image in pale grey, as in the figures of `mmrl visualize`

const RED = [187, 21, 26], PALE = 0.3;

async function look(item, run, name) {
  item.node.querySelector(".attention")?.remove();
  const panel = make("div", { className: "attention" }, make("p", { className: "soft", textContent: "Looking …" }));
  item.node.append(panel);
  const found = await post("attention", { image: await encoded(item.file), run });
  if (found.problem) {
    panel.replaceChildren(make("p", { className: "why", textContent: found.problem }));
    return;
  }
  const image = new Image();
  image.src = found.image;
  await image.decode();
  const slider = make("input", { type: "range", min: 1, max: found.layers.length, value: found.layers.length });
  const number = make("output"), maps = make("div", { className: "maps" });
  const show = () => {
    const { layer, maps: fractions } = found.layers[slider.value - 1];
    number.textContent = layer;
    maps.replaceChildren(...Object.entries(fractions).map(([label, rows]) => overlay(image, label, rows)));
  };
  slider.oninput = show;
  show();
  panel.replaceChildren(
    make("div", { className: "bar" }, make("strong", { textContent: `Where the image encoder of ${about.runs[run].title} looks (${name})` }),
      make("label", {}, "layer ", slider, " ", number),
      make("button", { type: "button", textContent: "Close", onclick: () => panel.remove() })),
    make("p", { className: "soft", textContent: "The redder, the more attention; each map by its own largest value. The encoder sees the image " +
      "before any class name, so the maps are the same for every answer." }), maps);
  panel.scrollIntoView({ block: "nearest" });
}

function overlay(image, label, rows) {
  const side = rows.length, canvas = make("canvas", { width: 256, height: 256 });
  const small = make("canvas", { width: side, height: side }), pixels = new ImageData(side, side);
  const largest = Math.max(...rows.flat()), total = rows.flat().reduce((sum, fraction) => sum + fraction, 0);
  rows.flat().forEach((fraction, i) => pixels.data.set([...RED, 255 * fraction / largest], 4 * i));
  small.getContext("2d").putImageData(pixels, 0, 0);
  const drawing = canvas.getContext("2d");
  drawing.drawImage(image, 0, 0, 256, 256);
  const seen = drawing.getImageData(0, 0, 256, 256), { data } = seen;
  for (let i = 0; i < data.length; i += 4)
    data.fill(255 * PALE + (1 - PALE) * (data[i] + data[i + 1] + data[i + 2]) / 3, i, i + 3);
  drawing.putImageData(seen, 0, 0);
  drawing.drawImage(small, 0, 0, 256, 256);
  return make("figure", {}, canvas, make("figcaption", { textContent: `${label} · ${(100 * total).toFixed(0)} % on patches` }));
}

// ---- webcam

let stream = null;

async function open() {
  try {
    if (!navigator.mediaDevices) throw new Error("this browser gives pages no camera");
    stream = await navigator.mediaDevices.getUserMedia({ video: true });
    at("video").srcObject = stream;
    at("camera").hidden = false;
    say("");
  } catch (error) {
    say(`The webcam cannot be used: ${error.message}.`);
  }
}

function close() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  at("camera").hidden = true;
}

function shoot() {
  const video = at("video"), canvas = make("canvas", { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  canvas.toBlob((blob) => add([new File([blob], `webcam-${items.length + 1}.png`, { type: "image/png" })]), "image/png");
}

// ---- results as a table; a text that a spreadsheet would take for a formula gets an apostrophe

function table() {
  const rows = [["image", "run", "rank", "class", "probability", "rule", "new"]];
  for (const { name, answers } of items)
    (answers?.answers || []).forEach((answer, run) => (answer.top || []).forEach((one, i) =>
      rows.push([name, about.runs[run].title + (about.runs[run].folder ? ` ${about.runs[run].folder}` : ""), i + 1, one.class,
        one.probability, one.rule, one.new])));
  const cell = (value) => `"${plain(value).replace(/^[ \u00a0]*[=+\-@\t\r\n＝＋－＠]/, "'$&").replaceAll('"', '""')}"`;
  return rows.map((row) => row.map(cell).join(",")).join("\n") + "\n";
}

function download() {
  const link = make("a", { href: URL.createObjectURL(new Blob([table()], { type: "text/csv" })), download: "predictions.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- start

async function start() {
  about = await (await fetch("about")).json();
  document.title = plain(about.runs.map((run) => run.title).join(" and "));
  at("title").textContent = document.title;
  at("runs").replaceChildren(...about.runs.map((run) => make("div", { className: "run" }, make("strong", { textContent: run.title }),
    ` ${run.facts.join(" · ")}`, ...(run.folder ? [make("code", { textContent: run.folder })] : []))));
  at("names").value = about.names.join("\n");
  at("examples").hidden = !about.examples.length;
  about.examples.forEach((name, i) => {
    const take = async () => {
      const blob = await (await fetch(`examples/${i}`)).blob();
      add([new File([blob], `example: ${name}`, { type: "image/png" })]);
    };
    at("examples").querySelector("ul").append(make("li", {}, make("button", { type: "button", title: name, onclick: take },
      make("img", { src: `examples/${i}`, alt: "" }), make("span", { textContent: name }))));
  });
}

let waiting = 0;
at("names").addEventListener("input", () => {
  items.forEach((item) => item.node.querySelector(".columns").classList.add("old"));
  clearTimeout(waiting);
  waiting = setTimeout(askAgain, 400);
});
at("topk").addEventListener("input", () => { at("shown").textContent = at("topk").value; });
at("topk").addEventListener("change", askAgain);
at("files").addEventListener("change", () => { add(at("files").files); at("files").value = ""; });
at("webcam").addEventListener("click", open);
at("off").addEventListener("click", close);
at("shoot").addEventListener("click", shoot);
at("csv").addEventListener("click", download);
at("clear").addEventListener("click", () => [...items].forEach(remove));
document.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) add(event.clipboardData.files); });
for (const name of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", name === "dragover");
    if (name === "drop") add(event.dataTransfer.files);
  });
}
start();

"use strict";
// Elements are made by name and text only: what comes from records never becomes markup.

const SVG = "http://www.w3.org/2000/svg";

function set(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function html(tag, attributes = {}, ...children) {
  return set(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return set(document.createElementNS(SVG, tag), attributes, children);
}

// Lists of items by key, in order. (Map.groupBy is missing in browsers of before 2024.)
function grouped(items, key) {
  const found = new Map();
  for (const item of items) found.set(key(item), [...(found.get(key(item)) ?? []), item]);
  return found;
}

// A line below an image for what a finger, which cannot hover, points at.
function hoverLine() {
  return html("p", { class: "note hover-line", "aria-live": "polite" });
}

const DATA = JSON.parse(document.getElementById("data").textContent);

document.addEventListener("click", ({ target }) => {
  const title = target.querySelector?.(":scope > title");
  if (title) target.closest("figure").querySelector(".hover-line").textContent = title.textContent;
});

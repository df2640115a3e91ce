"use strict";
// What tests ask of a page in the browser.

// Every visible text against the colour behind it: the contrast ratio of WCAG 2, and the text.
function contrasts() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((c) => c / 255)
      .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || element.closest("svg, .skip, script, style") || !element.checkVisibility()) continue;
    if (getComputedStyle(element).opacity < 0.5) continue;
    const [a, b] = [light(rgba(getComputedStyle(element).color)), light(behind(element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), text.slice(0, 40)]);
  }
  return found;
}

// Boxes that stick out to the right of the window and cannot be scrolled inside their own box.
function stickingOut() {
  return [...document.querySelectorAll("body *")].filter((element) => {
    const box = element.getBoundingClientRect();
    if (!box.width || box.right <= innerWidth + 1 || element.closest(".skip")) return false;
    for (let at = element.parentElement; at; at = at.parentElement) {
      if (/(auto|scroll|hidden)/.test(getComputedStyle(at).overflowX)) return false;
    }
    return true;
  }).map((element) => `${element.tagName}.${element.className}`);
}

// Heights, in ems, of the texts that hold an interval.
function intervalHeights() {
  return [...document.querySelectorAll(".keep, td.num")]
    .filter((element) => /\[.+\]/.test(element.innerText))
    .map((element) => {
      const range = document.createRange();
      range.selectNodeContents(element);
      return range.getBoundingClientRect().height / parseFloat(getComputedStyle(element).fontSize);
    });
}

// A click on the head of a column of the first table; the first cells of its rows, joined.
function sortedBy(place) {
  const table = document.querySelector("main table");
  table.tHead.querySelectorAll("button")[place].click();
  return [...table.tBodies[0].rows].map((row) => row.cells[0].textContent).join("");
}

function openAll() {
  document.querySelectorAll("details").forEach((details) => { details.open = true; });
}

const ground = () => getComputedStyle(document.body).backgroundColor;
const click = (selector) => document.querySelector(selector).click();
const isVisible = (selector) => document.querySelector(selector).checkVisibility();
const mainText = () => document.querySelector("main").innerText.replace(/[↕\s]+/g, " ");
const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 20)));

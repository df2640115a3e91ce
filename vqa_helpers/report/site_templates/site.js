"use strict";
// Everything here is a convenience: without it pages read the same.
(() => {
  const root = document.documentElement;
  const remembered = (key) => {
    try { return localStorage.getItem(key); } catch { return null; }
  };
  const remember = (key, value) => {
    try { localStorage.setItem(key, value); } catch { /* a browser that keeps nothing */ }
  };

  // Before anything is drawn: the theme and the code as they were chosen.
  const theme = remembered("vqa-theme");
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;
  if (remembered("vqa-code") === "hidden") root.dataset.code = "hidden";
  root.dataset.script = "";

  const isDark = () => root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;

  function themeTool() {
    const button = document.querySelector("header .theme-tool");
    const show = () => {
      button.textContent = isDark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `${button.textContent} colours`);
    };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remember("vqa-theme", root.dataset.theme);
      show();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
    show();
    button.hidden = false;
  }

  function codeTool() {
    if (!document.querySelector("main .input")) return;
    const button = document.querySelector("header .code-tool");
    const show = () => {
      const hidden = root.dataset.code === "hidden";
      button.textContent = hidden ? "Show code" : "Hide code";
      button.setAttribute("aria-pressed", String(hidden));
    };
    button.addEventListener("click", () => {
      root.dataset.code = root.dataset.code === "hidden" ? "shown" : "hidden";
      remember("vqa-code", root.dataset.code);
      show();
    });
    show();
    button.hidden = false;
  }

  // A cell is worth its leading number; what has none is sorted as text, what is absent goes last.
  const number = /^[-+\u2212]?(\d[\d,]*\.?\d*|\.\d+)/;
  function worth(cell) {
    const text = cell ? cell.textContent.trim() : "";
    if (!text || /^(–|nan|None|not defined|not scored)$/.test(text)) return { absent: true };
    const found = text.replace(/^(better|worse|cannot tell)\s/, "").match(number);
    return found
      ? { text, value: Number(found[0].replace(/,/g, "").replace("\u2212", "-")) }
      : { text };
  }
  function compare(a, b, sign) {
    if (a.absent || b.absent) return (a.absent ? 1 : 0) - (b.absent ? 1 : 0);
    if (a.value !== undefined && b.value !== undefined) return sign * (a.value - b.value);
    return sign * a.text.localeCompare(b.text, "en", { numeric: true });
  }
  function sortBy(table, place, head) {
    const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, worth: worth(row.cells[place]) }));
    rows.sort((a, b) => compare(a.worth, b.worth, sign));
    body.append(...rows.map((entry) => entry.row));
  }
  function sortable(table) {
    if (!table.tHead || table.tBodies.length !== 1 || table.tBodies[0].rows.length < 2) return;
    if (table.querySelector("[colspan], [rowspan]")) return;
    const filled = (row) => [...row.cells].filter((cell) => cell.textContent.trim()).length;
    const heads = [...table.tHead.rows].sort((a, b) => filled(b) - filled(a))[0];
    [...heads.cells].forEach((head, place) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sortBy(table, place, head));
    });
  }

  // A list of answers: of those that fit the first are shown, more on demand.
  function searchable(list) {
    const tools = document.querySelector(".search");
    const more = document.querySelector(".more");
    const rows = [...list.children].map((row) => ({ row, text: row.textContent.toLowerCase() }));
    const value = (selector) => tools.querySelector(selector)?.value ?? "";
    let most = 100;
    let shown = [];
    function show() {
      const words = value("input").toLowerCase().split(/\s+/);
      const outcomes = value("[name=outcome]").split(" ");
      const type = value("[name=type]");
      const fitting = rows.filter(({ row, text }) => (!outcomes[0] || outcomes.includes(row.classList[0]))
        && (!type || row.dataset.type === type) && words.every((word) => text.includes(word)));
      for (const { row } of shown) row.classList.remove("shown");
      shown = fitting.slice(0, most);
      for (const { row } of shown) row.classList.add("shown");
      more.hidden = fitting.length <= most;
      tools.querySelector("output").textContent
        = `${fitting.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
    }
    tools.addEventListener("input", () => { most = 100; show(); });
    more.addEventListener("click", () => { most += 100; show(); });
    tools.hidden = false;
    show();
  }

  // A wide table can be scrolled with the keyboard too.
  function reachable(box) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }

  document.addEventListener("DOMContentLoaded", () => {
    themeTool();
    codeTool();
    document.querySelectorAll("main table").forEach(sortable);
    document.querySelectorAll("main .answers").forEach(searchable);
    document.querySelectorAll("main .scroll, main pre, main .highlight").forEach(reachable);
  });
})();

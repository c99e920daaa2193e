"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // A click on a title sorts the table; missing values stay last.
  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    if ("key" in cell.dataset) return Number(cell.dataset.key);
    return text === "–" || text === "" ? null : text;
  };
  const order = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  const sort = (table, column, title) => {
    const down = title.getAttribute("aria-sort") === "ascending";
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row, column), row]);
    const known = keyed.filter(([value]) => value !== null).sort((a, b) => (down ? -1 : 1) * order(a[0], b[0]));
    const missing = keyed.filter(([value]) => value === null);
    body.append(...[...known, ...missing].map(([, row]) => row));
    all("th[aria-sort]", table.tHead).forEach((other) => other.removeAttribute("aria-sort"));
    title.setAttribute("aria-sort", down ? "descending" : "ascending");
  };
  for (const table of all("table.sortable")) {
    if (!table.tHead || table.tBodies[0].rows.length < 2) continue;
    [...table.tHead.rows[0].cells].forEach((title, column) => {
      if (!title.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...title.childNodes);
      title.append(button);
      button.addEventListener("click", () => sort(table, column, title));
    });
  }

  // Hovering highlights a strategy everywhere; a click pins it, Escape releases it.
  const marked = all("[data-s]");
  let held = null;
  const light = (series) => {
    document.body.classList.toggle("lit", series !== null);
    for (const element of marked) element.classList.toggle("on", element.dataset.s === series);
  };
  const hold = (series) => {
    held = series === held ? null : series;
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.dataset.s === held));
    light(held);
  };
  const chips = all(".strategies li").map((item) => {
    const button = document.createElement("button");
    button.type = "button";
    button.dataset.s = item.dataset.s;
    button.append(...item.childNodes);
    item.append(button);
    return button;
  });
  for (const chip of chips) {
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => hold(chip.dataset.s));
    chip.addEventListener("focus", () => light(chip.dataset.s));
    chip.addEventListener("blur", () => light(held));
  }
  for (const element of marked) {
    element.addEventListener("pointerenter", () => light(element.dataset.s));
    element.addEventListener("pointerleave", () => light(held));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hold(held);
  });

  // Unfold everything for printing.
  const folded = [];
  addEventListener("beforeprint", () => {
    for (const details of all("details:not([open], .long)")) {
      folded.push(details);
      details.open = true;
    }
  });
  addEventListener("afterprint", () => folded.splice(0).forEach((details) => (details.open = false)));
})();

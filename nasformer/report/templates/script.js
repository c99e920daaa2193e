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
  const chips = all(".strategies li");
  for (const chip of chips) {
    chip.tabIndex = 0;
    chip.setAttribute("role", "button");
    chip.setAttribute("aria-pressed", "false");
    chip.addEventListener("click", () => hold(chip.dataset.s));
    chip.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      hold(chip.dataset.s);
    });
    chip.addEventListener("focus", () => light(chip.dataset.s));
    chip.addEventListener("blur", () => light(held));
  }
  for (const element of marked) {
    element.addEventListener("pointerenter", () => light(element.dataset.s));
    element.addEventListener("pointerleave", () => light(held));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    hold(held);
    hide();
  });

  // The point nearest to the pointer shows its tooltip.
  const tip = document.getElementById("tip");
  const hide = () => {
    tip.hidden = true;
    all(".spot").forEach((spot) => spot.remove());
  };
  const nearest = (traces, x, y) => {
    let found = null;
    let least = 18 * 18;
    for (const trace of traces)
      for (const [px, py, note] of trace.points) {
        const distance = (px - x) ** 2 + (py - y) ** 2;
        if (distance < least) {
          least = distance;
          found = { trace, px, py, note };
        }
      }
    return found;
  };
  const spot = (svg, px, py) => {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [name, value] of Object.entries({ cx: px, cy: py, r: 4.5, class: "spot" })) circle.setAttribute(name, value);
    svg.append(circle);
  };
  const say = (found, event) => {
    tip.replaceChildren();
    const name = document.createElement("b");
    name.textContent = found.trace.label;
    tip.append(name, document.createElement("br"), found.note);
    tip.hidden = false;
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 6);
    const above = event.clientY - height - 12;
    tip.style.left = `${Math.max(6, left)}px`;
    tip.style.top = `${above > 6 ? above : event.clientY + 18}px`;
  };
  const figures = JSON.parse(document.getElementById("traces").textContent);
  for (const [name, traces] of Object.entries(figures)) {
    const svg = document.getElementById(name)?.querySelector("svg");
    if (!svg) continue;
    const point = (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const found = nearest(traces, place.x, place.y);
      hide();
      if (!found) return light(held);
      if (found.trace.series !== null) light(String(found.trace.series));
      spot(svg, found.px, found.py);
      say(found, event);
    };
    svg.addEventListener("pointermove", point);
    svg.addEventListener("pointerdown", point);
    svg.addEventListener("pointerleave", () => {
      hide();
      light(held);
    });
  }

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

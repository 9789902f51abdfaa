"use strict";
// What a page does in the browser: draws its figures, and lets tables be sorted, filtered and linked to figures.
// Whatever comes from data goes in as text, never as markup.
(() => {
  document.documentElement.classList.add("scripted");
  const MOST_DRAWN = 3000;
  const PART = 50;
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== undefined) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const whole = new Intl.NumberFormat("en-US");
  /** Numbers before texts, missing ones at the end whatever the direction. */
  const compare = (a, b, direction) => {
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return direction * (a - b);
    if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1;
    return direction * (a < b ? -1 : a > b ? 1 : 0);
  };
  const plain = (text) => text.toLowerCase().replaceAll("−", "-").replace(/[^a-z0-9]+/g, "");

  /** Rows with cells that have a text and a value to sort by. */
  class Rows {
    constructor(columns, length, text, value) {
      Object.assign(this, { columns, length, text, value });
      this.order = Array.from({ length }, (_, row) => row);
      this.texts = [];
    }
    static ofTable({ columns, rows }) {
      const value = (row, column) => rows[row][column][1] ?? rows[row][column][0];
      return new Rows(columns, rows.length, (row, column) => rows[row][column][0], value);
    }
    static ofColumns({ columns }) {
      const value = (row, column) => {
        const { numbers, words, texts } = columns[column];
        if (texts) return texts[row];
        const number = numbers[row];
        return words && number !== null ? words[number] : number;
      };
      const formats = columns.map(({ decimals, signed }) => new Intl.NumberFormat("en-US", {
        minimumFractionDigits: decimals, maximumFractionDigits: decimals, signDisplay: signed ? "always" : "auto",
      }));
      const text = (row, column) => {
        const found = value(row, column);
        if (found === null) return "-";
        return typeof found === "number" ? formats[column].format(found).replace("-", "−") : found;
      };
      return new Rows(columns, columns[0] ? (columns[0].texts ?? columns[0].numbers).length : 0, text, value);
    }
    sort(column, direction) {
      this.order.sort((a, b) => compare(this.value(a, column), this.value(b, column), direction) || a - b);
    }
    /** Words that a row must hold, and conditions such as `fitness>0.5`. */
    matching(filter) {
      const tests = filter.trim().split(/\s+/).filter(Boolean).map((token) => {
        const [, name, sign, number] = token.match(/^([^<>=]+)(<=|>=|<|>|=)(.+)$/) ?? [];
        const column = name ? this.columns.findIndex((column) => plain(column.key ?? column.title).startsWith(plain(name)) && plain(name)) : -1;
        if (column < 0) return (row) => this.whole(row).includes(token.toLowerCase());
        const limit = Number(number.replace("−", "-"));
        return (row) => {
          const value = this.value(row, column);
          if (Number.isNaN(limit) || typeof value !== "number") return sign === "=" && String(value).toLowerCase() === number.toLowerCase();
          return { "<": value < limit, ">": value > limit, "<=": value <= limit, ">=": value >= limit, "=": value === limit }[sign];
        };
      });
      return this.order.filter((row) => tests.every((test) => test(row)));
    }
    whole(row) {
      return (this.texts[row] ??= this.columns.map((_, column) => this.text(row, column)).join(" ").toLowerCase());
    }
  }

  /** Headings that sort. */
  const sorting = (headings, sort) => {
    headings.forEach((heading, column) => {
      const button = make("button", { type: "button" }, ...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const first = heading.classList.contains("number") ? "descending" : "ascending";
        const now = heading.getAttribute("aria-sort");
        const next = !now ? first : now === "ascending" ? "descending" : "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", next);
        sort(column, next === "ascending" ? 1 : -1);
      });
    });
  };

  // Tables that stand in the page.
  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const value = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.value !== undefined ? Number(cell.dataset.value) : cell.textContent === "-" ? null : cell.textContent;
    };
    if (body.rows.length < 2) continue;
    const places = new Map([...body.rows].map((row, place) => [row, place]));
    sorting([...table.tHead.rows[0].cells], (column, direction) => {
      const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column), direction) || places.get(a) - places.get(b));
      body.append(...rows);
    });
  }

  /** A table that is shown in parts. */
  class Long {
    constructor(place, rows) {
      Object.assign(this, { place, rows, first: 0, chosen: "", listeners: [] });
      this.key = rows.columns.findIndex((column) => column.key === "hash");
      const caption = place.dataset.caption;
      this.filter = make("input", { type: "search", autocomplete: "off", spellcheck: "false", placeholder: "words, or conditions: fitness>0 live<=8" });
      this.count = make("span", { class: "count", role: "status" });
      this.back = make("button", { type: "button" }, "Previous");
      this.forth = make("button", { type: "button" }, "Next");
      this.body = make("tbody");
      const headings = rows.columns.map(({ title, kind }) => make("th", { scope: "col", class: kind === "number" ? "number" : undefined }, title));
      const table = make("table", {}, make("caption", {}, caption), make("thead", {}, make("tr", {}, ...headings)), this.body);
      place.append(
        make("div", { class: "controls" }, make("label", {}, "Filter", this.filter), this.count, this.back, this.forth),
        make("div", { class: "scroll", role: "group", "aria-label": caption, tabindex: "0" }, table),
      );
      sorting(headings, (column, direction) => { this.rows.sort(column, direction); this.update(); });
      let timer = 0;
      this.filter.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => this.update(), 100); });
      this.back.addEventListener("click", () => { this.first -= PART; this.draw(); });
      this.forth.addEventListener("click", () => { this.first += PART; this.draw(); });
      this.update();
    }
    update() {
      this.shown = this.rows.matching(this.filter.value);
      this.first = 0;
      this.draw();
      for (const listener of this.listeners) listener();
    }
    draw() {
      const { rows, shown, first } = this;
      const last = Math.min(first + PART, shown.length);
      const of = shown.length === rows.length ? whole.format(rows.length) : `${whole.format(shown.length)} that match, of ${whole.format(rows.length)}`;
      this.count.textContent = shown.length ? `${whole.format(first + 1)} to ${whole.format(last)} of ${of}` : `none of ${whole.format(rows.length)} rows matches`;
      this.back.disabled = first === 0;
      this.forth.disabled = last >= shown.length;
      this.body.replaceChildren(...shown.slice(first, last).map((row) => {
        const cells = rows.columns.map(({ kind }, column) => {
          const text = rows.text(row, column);
          const cell = make("td", { class: kind === "text" ? undefined : kind });
          if (column === this.key && this.listeners.length) {
            const link = make("button", { type: "button", class: "link", title: "Show it in the figure" }, text);
            link.addEventListener("click", () => this.choose(text, false));
            cell.append(link);
          } else cell.append(text);
          return cell;
        });
        const line = make("tr", {}, ...cells);
        if (this.chosen && rows.text(row, this.key) === this.chosen) line.className = "chosen";
        return line;
      }));
    }
    choose(key, show = true) {
      this.chosen = key;
      const at = this.shown.findIndex((row) => this.rows.text(row, this.key) === key);
      if (at >= 0 && show) this.first = at - (at % PART);
      this.draw();
      if (show) this.body.querySelector(".chosen")?.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
      for (const listener of this.listeners) listener();
    }
  }

  const tables = new Map();
  for (const place of document.querySelectorAll(".long")) {
    const { table, rows } = place.dataset;
    tables.set(place.id, new Long(place, table ? Rows.ofTable(read(table)) : Rows.ofColumns(read(rows))));
  }

  // Figures.
  const options = {
    mode: "vega-lite", ast: true, renderer: "svg", actions: false, defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const link = (view, long) => {
    const { rows } = long;
    const points = () => {
      // What is far down hides behind the rest.
      const drawn = long.shown.length > MOST_DRAWN ? [...long.shown].sort((a, b) => a - b).slice(0, MOST_DRAWN) : long.shown;
      return drawn.map((row) => Object.fromEntries(rows.columns.map(({ key }, column) => [key, rows.value(row, column)])));
    };
    let shown = null;
    const update = () => {
      if (shown !== long.shown) { shown = long.shown; view.data("points", points()); }
      view.signal("chosen", long.chosen).runAsync();
    };
    long.listeners.push(update);
    view.addEventListener("click", (_, item) => { if (item?.datum?.hash) long.choose(item.datum.hash); });
    long.draw();
    update();
  };
  const draw = async (plot) => {
    const specification = read(plot.dataset.specification);
    const narrow = plot.clientWidth < 520;
    if (narrow && specification.usermeta?.narrow) Object.assign(specification, specification.usermeta.narrow);
    const { view } = await vegaEmbed(plot, specification, options);
    // The figure is one picture, with its title, sentence and table; its marks are not read one by one.
    plot.querySelector("svg")?.setAttribute("aria-hidden", "true");
    const long = tables.get(plot.dataset.rows);
    if (long) link(view, long);
    // A figure within something closed has no width until it is opened.
    plot.closest("details")?.addEventListener("toggle", () => dispatchEvent(new Event("resize")));
  };
  const plots = [...document.querySelectorAll(".plot")];
  const drawAll = async () => {
    for (const plot of plots) {
      try { await draw(plot); } catch (error) { plot.append(make("p", {}, "This figure can't be drawn; its numbers are in the table.")); console.error(error); }
    }
    document.documentElement.dataset.drawn = plots.length;
  };
  if (plots.length && typeof vegaEmbed === "function") drawAll();
  else document.documentElement.dataset.drawn = 0;

  // The section that is being read.
  const entries = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  if (entries.size && "IntersectionObserver" in window) {
    const seen = new Set();
    const observer = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) seen[isIntersecting ? "add" : "delete"](target.id);
      const here = [...entries.keys()].find((id) => seen.has(id));
      for (const [id, a] of entries) {
        a.classList.toggle("here", id === here);
        if (id === here) a.setAttribute("aria-current", "true"); else a.removeAttribute("aria-current");
      }
    }, { rootMargin: "-10% 0px -70% 0px" });
    for (const id of entries.keys()) observer.observe(document.getElementById(id));
  }
  // On paper everything is open.
  addEventListener("beforeprint", () => { for (const details of document.querySelectorAll("main details:not(.numbers)")) details.open = true; });
})();

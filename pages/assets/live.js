"use strict";
// What the live page does: takes the entries of journals as they come, each once, and draws what they say.
// Whatever comes goes into the page as text, never as markup.
(() => {
  document.documentElement.classList.add("scripted");
  const SVG = "http://www.w3.org/2000/svg";
  const REDRAW = 250; // milliseconds between two drawings
  const LAST = 20; // evaluations that are listed
  const MOST_ROWS = 200;
  const at = (id) => document.getElementById(id);
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const draw = (tag, attributes = {}, text = null) => {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== null) element.textContent = text;
    return element;
  };
  const whole = new Intl.NumberFormat("en-US");
  const count = (number, one, many) => `${whole.format(number)} ${number === 1 ? one : many}`;
  const signed = (number, decimals = 2) => {
    const text = number.toFixed(decimals);
    const positive = Number(text) >= 0;
    return `${positive ? "+" : "−"}${text.replace("-", "")}`;
  };
  const percent = (number) => (number === null || number === undefined ? "none" : `${signed(number)} %`);
  const share = (number) => (number === null || number === undefined ? "-" : `${(100 * number).toFixed(1)} %`);

  // What has come.
  class Store {
    constructor() {
      this.status = null;
      this.forget();
    }
    forget() {
      this.entries = [];
      this.dots = []; // programs, fitness
      this.best = []; // programs, fitness, program
      this.rates = []; // programs, evaluated, cache hits, redundant
      this.evaluations = []; // entry, child, program, outcome, fitness: the last ones
    }
    take(from, entries) {
      if (from < this.entries.length) {
        const kept = this.entries.slice(0, from);
        this.forget();
        for (const entry of kept) this.takeOne(entry);
      }
      for (const entry of entries) this.takeOne(entry);
    }
    takeOne(entry) {
      this.entries.push(entry);
      const [kind, ...rest] = entry;
      if (kind === "evaluation") {
        const [child, epoch, fitness, outcome, hash] = rest;
        if (child !== null && fitness !== null) this.dots.push([child + 1, fitness]);
        const name = child === null ? `elite, seeds ${epoch}` : whole.format(child);
        this.evaluations.push([this.entries.length, name, hash, outcome, fitness]);
        if (this.evaluations.length > 4 * LAST) this.evaluations.splice(0, 3 * LAST);
      } else if (kind === "best") {
        this.takeBest(rest);
      } else if (kind === "rates") {
        const [programs, evaluated, hits, redundant, best] = rest;
        this.rates.push([programs, evaluated, hits, redundant]);
        // Where seeds change, the best may have turned out less good than it had seemed.
        if (best !== null) this.takeBest([programs, best, ""]);
      }
    }
    /** In the order of programs; what changes nothing is left out. */
    takeBest(point) {
      const { best } = this;
      let place = best.length;
      while (place > 0 && best[place - 1][0] > point[0]) place -= 1;
      if (place > 0 && best[place - 1][1] === point[1]) return;
      best.splice(place, 0, point);
    }
    get programs() {
      return Math.max(this.status?.programs ?? 0, this.best.at(-1)?.[0] ?? 0, this.rates.at(-1)?.[0] ?? 0);
    }
    get name() { return this.status?.name ?? "a search"; }
  }
  const stores = [];
  let chosen = 0;
  const storeOf = (number) => {
    while (stores.length <= number) stores.push(new Store());
    return stores[number];
  };

  // Figures.
  const steps = (low, high, most) => {
    const rough = (high - low) / Math.max(1, most);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= rough) ?? 10 * power;
    const found = [];
    for (let place = Math.ceil(low / step - 1e-9) * step; place <= high + 1e-9 * step; place += step) found.push(Math.abs(place) < 1e-9 * step ? 0 : place);
    return [found, Math.max(0, -Math.floor(Math.log10(step) + 1e-9))];
  };
  /** Lines over programs, with dots behind them. A line is { name, points, stepped, end }. */
  const chart = (place, { lines, dots = [], xTitle, yTitle, right, between = null, level = null }) => {
    const width = place.clientWidth;
    const height = place.clientHeight;
    if (!width || !height) return;
    const values = lines.flatMap(({ points }) => points.map(([, y]) => y));
    let [low, high] = between ?? [Math.min(...values.slice(-1), Infinity), -Infinity];
    if (!between) {
      if (!values.length) {
        place.replaceChildren();
        return;
      }
      for (const y of values) { low = Math.min(low, y); high = Math.max(high, y); }
      const last = Math.min(...lines.filter(({ points }) => points.length).map(({ points }) => points.at(-1)[1]));
      // Where lines are now and came from shortly before, not how bad the first programs were.
      low = Math.max(low, last - 1.5 * Math.max(2, high - last));
      const room = 0.12 * Math.max(0.5, high - low);
      low -= room;
      high += room;
    }
    const margin = { left: 62, right: 14, top: 12, bottom: 44 };
    const [inner, tall] = [width - margin.left - margin.right, height - margin.top - margin.bottom];
    if (inner < 40) return;
    const xOf = (x) => margin.left + (inner * x) / Math.max(1, right);
    const yOf = (y) => margin.top + tall * (1 - (y - low) / (high - low));
    const root = draw("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const [ys, decimals] = steps(low, high, 5);
    for (const y of ys) {
      root.append(draw("line", { class: "grid", x1: margin.left, x2: width - margin.right, y1: yOf(y), y2: yOf(y) }));
      const text = decimals ? y.toFixed(decimals) : whole.format(y);
      root.append(draw("text", { x: margin.left - 8, y: yOf(y) + 4, "text-anchor": "end" }, text.replace("-", "−")));
    }
    const [xs] = steps(0, Math.max(1, right), Math.max(2, Math.floor(inner / 110)));
    for (const x of xs) root.append(draw("text", { x: xOf(x), y: height - margin.bottom + 18, "text-anchor": x === 0 ? "start" : "middle" }, whole.format(x)));
    root.append(draw("text", { class: "title", x: margin.left + inner / 2, y: height - 6, "text-anchor": "middle" }, xTitle));
    root.append(draw("text", { class: "title", transform: `translate(14 ${margin.top + tall / 2}) rotate(-90)`, "text-anchor": "middle" }, yTitle));
    // As many dots as there are places for them.
    const seen = new Set();
    let path = "";
    for (const [x, y] of dots) {
      if (y < low || y > high) continue;
      const [px, py] = [Math.round(xOf(x)), Math.round(yOf(y))];
      const key = px * 4096 + py;
      if (seen.has(key)) continue;
      seen.add(key);
      path += `M${px} ${py}h.01`;
    }
    if (path) root.append(draw("path", { class: "dots", d: path }));
    if (level && level.y > low && level.y < high) {
      root.append(draw("line", { class: "level", x1: margin.left, x2: width - margin.right, y1: yOf(level.y), y2: yOf(level.y) }));
      root.append(draw("text", { class: "on-dots", x: margin.left + 6, y: yOf(level.y) - 6 }, level.name));
    }
    const labels = [];
    lines.forEach(({ name, points, stepped, end = right }, number) => {
      if (!points.length) return;
      const look = (number % 7) + 1;
      const clamp = (y) => Math.min(Math.max(yOf(y), margin.top), margin.top + tall);
      let d = "";
      for (const [x, y] of points) {
        const [px, py] = [xOf(x).toFixed(1), clamp(y).toFixed(1)];
        d += d ? (stepped ? `H${px}V${py}` : `L${px} ${py}`) : `M${px} ${py}`;
      }
      if (stepped) d += `H${xOf(Math.max(end, points.at(-1)[0])).toFixed(1)}`;
      root.append(draw("path", { class: `line s${look}`, d }));
      labels.push([clamp(points.at(-1)[1]), look, name]);
    });
    labels.sort((a, b) => a[0] - b[0]);
    let floor = -Infinity;
    for (const [y, look, name] of lines.length > 1 ? labels : []) {
      floor = Math.max(y - 6, floor + 15, margin.top + 10);
      const short = name.length > 40 ? `…${name.slice(-39)}` : name;
      root.append(draw("text", { class: `name n${look}`, x: width - margin.right - 4, y: floor, "text-anchor": "end" }, short));
    }
    place.replaceChildren(root);
  };

  // Tables and texts.
  const fill = (table, rows, numbers, codes = []) => {
    const body = at(table).tBodies[0];
    body.replaceChildren(...rows.map((cells) => make("tr", {}, ...cells.map((text, column) => {
      const kind = numbers.includes(column) ? "number" : codes.includes(column) ? "code" : "";
      return make("td", kind ? { class: kind } : {}, text);
    }))));
  };
  const say = (id, text) => { if (at(id).textContent !== text) at(id).textContent = text; };
  const states = { running: "running", ended: "ended", stopped: "not running", unreadable: "can't be read" };
  const stateOf = (status) => {
    if (status.state === "ended" && status.end) return `ended: ${status.end}`;
    if (status.state === "stopped") return "interrupted or killed; symopt resume goes on with it";
    if (status.state === "unreadable") return status.error ?? "can't be read";
    return states[status.state];
  };
  const show = () => {
    const store = stores[chosen];
    if (!store?.status) return;
    const { status } = store;
    const several = stores.length > 1;
    at("section-0").hidden = !several;
    if (several) {
      const which = at("which");
      while (which.options.length < stores.length) which.append(make("option", { value: which.options.length }));
      which.selectedIndex = chosen;
      stores.forEach((other, number) => { if (which.options[number].text !== other.name) which.options[number].text = other.name; });
      fill("searches", stores.map((other) => {
        const { search = null, programs = 0, evaluated = 0, best = null, state = "" } = other.status ?? {};
        return [other.name, states[state] ?? "", search?.suite ?? "", String(search?.seed ?? ""), whole.format(programs), whole.format(evaluated), best ? percent(best.fitness) : "-"];
      }), [3, 4, 5, 6]);
    }
    say("title", several ? "Searches as they run" : `The search ${status.name}`);
    document.title = `${states[status.state]}: ${status.name}`;
    const best = status.best ? `best ${percent(status.best.fitness)}, child ${whole.format(status.best.child)}` : "nothing better than the initial program yet";
    say("verdict", `${several ? `${status.name}: ` : ""}${stateOf(status)}. ${count(status.programs, "program", "programs")}, ${whole.format(status.evaluated)} of them evaluated; ${best}.`);
    const rate = (number) => (number === null ? "" : `${number} a second`);
    const { search } = status;
    const limit = (number) => (number ? `of ${whole.format(number)}` : "");
    const tiles = [
      ["state", states[status.state], status.state === "running" ? "its store is locked by a process" : ""],
      ["programs", whole.format(status.programs), [limit(search?.limit_programs), rate(status.programs_a_second)].filter(Boolean).join(", ")],
      ["evaluated", whole.format(status.evaluated), [limit(search?.limit_evaluations), rate(status.evaluated_a_second)].filter(Boolean).join(", ")],
      ["best fitness", status.best ? percent(status.best.fitness) : "-", "on the search's own seeds"],
      ["cache hits", share(status.cache_hits), "known from an earlier program"],
      ["redundant", share(status.redundant), "statements that nothing needs"],
      ["stopped early", share(status.hopeless), "of the evaluated: hopeless"],
      ["diverged", share(status.diverged), "of the evaluated"],
    ];
    if (search) tiles.push(["search", search.suite, `${search.form}, seed ${search.seed}, from ${search.initial}`], ["population", whole.format(search.population), "programs"]);
    if (status.failed) tiles.push(["failed", whole.format(status.failed), "evaluations"]);
    at("tiles").replaceChildren(...tiles.map(([name, value, note]) => make("div", {}, make("dt", {}, name), make("dd", {}, value, ...(note ? [make("small", {}, note)] : [])))));

    const right = Math.max(...stores.map((other) => other.programs), 1);
    const lines = stores.map((other) => ({ name: other.name, points: other.best.map(([x, y]) => [x, y]).filter(([, y]) => y !== null), stepped: true, end: other.programs }));
    chart(at("fitness"), { lines, dots: store.dots, right, xTitle: "programs generated", yTitle: "fitness (%)", level: { y: 0, name: "AdamW of the suite" } });
    const ends = store.best.filter(([, y]) => y !== null);
    const dots = several ? `Dots are the evaluations of ${store.name}.` : "Dots are the evaluations.";
    say("fitness-says", ends.length
      ? `The best fitness is ${percent(ends.at(-1)[1])} after ${count(store.programs, "program", "programs")}; ${percent(ends[0][1])} came first. ${dots} What lies far below is not drawn. Where the line falls, the best was judged again on new seeds.`
      : `No program is better than the initial one yet. ${dots}`);
    fill("fitness-table", store.best.slice(-MOST_ROWS).reverse().map(([programs, fitness, hash]) => [whole.format(programs), percent(fitness), hash]), [0, 1], [2]);

    const rates = [["cache hits", 2], ["redundant statements", 3]].map(([name, column]) => ({ name, points: store.rates.map((row) => [row[0], 100 * row[column]]) }));
    const last = store.rates.at(-1);
    chart(at("rates"), { lines: rates, right: store.programs, xTitle: "programs generated", yTitle: "share (%)", between: [0, 100] });
    say("rates-says", last
      ? `Of ${count(last[0], "program", "programs")} the fitness of ${share(last[2])} was known from an earlier one; ${share(last[3])} of the statements are redundant. The published searches report 89 % and 70 %.`
      : "There is a row for each 500 programs, and none yet.");
    fill("rates-table", store.rates.slice(-MOST_ROWS).reverse().map(([programs, evaluated, hits, redundant]) => [whole.format(programs), whole.format(evaluated), share(hits), share(redundant)]), [0, 1, 2, 3]);

    const { hall } = status;
    const program = hall?.best;
    for (const id of ["best-update", "best-text"]) at(id).hidden = !program;
    if (program) {
      const found = program.fitness === null ? "the program that the search started from" : `fitness ${percent(program.fitness)} on the search's own seeds`;
      say("best-says", `${program.hash}: ${found}.`);
      say("best-update", program.update);
      say("best-text", program.text.trimEnd());
    } else say("best-says", "It is looked up.");
    fill("hall", (hall?.front ?? []).map((row) => [
      String(row.place), row.hash, `${signed(row.fitness)}${row.error ? ` ± ${row.error.toFixed(2)}` : ""} %`, String(row.live), String(row.state), row.does, row.update,
    ]), [0, 2, 3, 4], [1, 6]);
    const again = status.judged_again ? `, ${whole.format(status.judged_again)} of the elite on new seeds` : "";
    say("journal-says", `${count(store.entries.length, "entry has", "entries have")} come of ${whole.format(status.entries)} in the journal: ${count(status.evaluated, "evaluation", "evaluations")}${again}, and what is noted between them.`);
    fill("journal", store.evaluations.slice(-LAST).reverse().map(([entry, child, hash, outcome, fitness]) => [
      whole.format(entry), child, hash, outcome, fitness === null ? "-" : percent(fitness),
    ]), [0, 4], [2]);
    document.documentElement.dataset.entries = stores.map(({ entries }) => entries.length).join(" ");
    document.documentElement.dataset.drawn = "1";
  };
  let timer = 0;
  const soon = () => {
    if (!timer) timer = setTimeout(() => { timer = 0; show(); }, REDRAW);
  };
  at("which").addEventListener("change", (event) => { chosen = Number(event.target.value); show(); });
  addEventListener("resize", soon);
  for (const details of document.querySelectorAll("details")) details.addEventListener("toggle", soon);

  // The connection.
  let lastId = "";
  const connection = (text, lost = false, button = null) => {
    const place = at("connection");
    if (place.dataset.text === text) return;
    place.dataset.text = text;
    place.classList.toggle("lost", lost);
    place.replaceChildren(text, ...(button ? [button] : []));
  };
  const connect = () => {
    const events = new EventSource(lastId ? `events?last=${encodeURIComponent(lastId)}` : "events");
    events.addEventListener("begin", (message) => {
      // Another server may show fewer.
      const { stores: length } = JSON.parse(message.data);
      if (length < stores.length) stores.length = length;
      if (chosen >= length) chosen = 0;
      at("which").replaceChildren();
      connection("Connected: what the search writes is shown as it comes.");
    });
    events.addEventListener("entries", (message) => {
      const { store, from, entries } = JSON.parse(message.data);
      const held = storeOf(store);
      if (from > held.entries.length) {
        // Something is missing, which must not be: everything again.
        events.close();
        lastId = "";
        for (const other of stores) other.forget();
        connect();
        return;
      }
      held.take(from, entries);
      lastId = message.lastEventId;
      soon();
    });
    events.addEventListener("status", (message) => {
      const { store, status } = JSON.parse(message.data);
      storeOf(store).status = status;
      soon();
    });
    const again = (text) => {
      events.close();
      const button = make("button", { type: "button" }, "Connect again");
      button.addEventListener("click", () => { connection("Connecting …"); connect(); });
      connection(text, true, button);
    };
    events.addEventListener("end", () => again("The server has ended; what had come until then is shown."));
    events.addEventListener("error", () => {
      // A browser tries again by itself, unless the answer was none of events.
      if (events.readyState === EventSource.CLOSED) again("The connection is lost; what had come until then is shown.");
      else connection("The connection is lost, and tried again.", true);
    });
  };
  connect();
  // For whoever wants the numbers on the console.
  globalThis.symopt = { stores };
})();

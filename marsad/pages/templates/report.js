// The list of reports: filtered, sorted and drawn a page at a time. All text goes into the page as text.
"use strict";
(() => {
  const PAGE = 20;
  const CORRECT = 0, MISSED = 1, SPURIOUS = 2;
  const { labels, codes, kinds, documents } = JSON.parse(document.getElementById("data").textContent);
  const form = document.getElementById("filters");
  const list = document.getElementById("list");
  // What text does not show by itself: controls, lone surrogates, marks of direction, blanks without width.
  const HIDDEN = /[\p{Cc}\p{Cs}\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff]/gu;
  const NAMES = { 0x00: "NUL", 0x0d: "CR", 0xad: "SHY", 0x61c: "ALM", 0x200b: "ZWSP", 0x200e: "LRM", 0x200f: "RLM",
    0x2028: "LS", 0x2029: "PS", 0x202a: "LRE", 0x202b: "RLE", 0x202c: "PDF", 0x202d: "LRO", 0x202e: "RLO",
    0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xfeff: "BOM" };

  for (const report of documents) {
    report.pairs = report.pairs.map(([kind, goldStart, goldEnd, goldLabel, start, end, label, score]) => ({
      kind,
      gold: goldStart < 0 ? null : { start: goldStart, end: goldEnd, label: goldLabel },
      predicted: start < 0 ? null : { start, end, label, score },
    }));
    report.errors = report.pairs.filter((pair) => pair.kind !== CORRECT);
    report.surest = Math.max(-1, ...report.errors.map((pair) => pair.predicted?.score ?? -1));
  }

  // ---- filters

  const state = { type: new Set(), kind: new Set(), flip: new Set(), q: "", sort: "errors", view: "tracks", errors: false, page: 0 };
  let found = [];

  const hasType = (pair) => !state.type.size || state.type.has(pair.gold?.label) || state.type.has(pair.predicted?.label);
  const hasKind = (pair) => !state.kind.size || state.kind.has(pair.kind);
  const hasFault = (pair) => !state.errors || pair.kind !== CORRECT;
  const asked = (pair) => hasType(pair) && hasKind(pair);
  const wanted = (pair) => asked(pair) && hasFault(pair);

  // Letters that writers take for one another, and marks that they leave out, do not keep a search from matching.
  const fold = (text) => text.normalize("NFKC").toLowerCase().replace(/[\u064b-\u065f\u0670\u0640]/g, "")
    .replace(/[أإآٱ]/g, "ا").replace(/ى/g, "ي").replace(/ة/g, "ه").replace(/\s+/g, " ");

  const searched = (report) => {
    if (!state.q) return true;
    if (state.q.startsWith("id:")) return report.id === state.q.slice(3).trim();
    report.folded ??= fold([report.id, report.source ?? "", report.published ?? "", report.text].join("\n"));
    return report.folded.includes(fold(state.q.trim()));
  };
  const flipped = (report) => !state.flip.size || report.flips.some((flip) => state.flip.has(flip[0]));

  function filter() {
    const candidates = documents.filter((report) => searched(report) && flipped(report));
    found = state.type.size || state.kind.size || state.errors ? candidates.filter((report) => report.pairs.some(wanted)) : candidates;
    const shown = (report) => report.errors.filter(asked).length;
    if (state.sort === "errors") found = found.map((report) => [shown(report), report]).sort((a, b) => b[0] - a[0]).map((one) => one[1]);
    if (state.sort === "sure") found = [...found].sort((a, b) => b.surest - a.surest);
    count(candidates);
  }

  // Beside each filter, the entities that it would give with the other filters as they are.
  function count(candidates) {
    const byType = labels.map(() => 0), byKind = kinds.map(() => 0), byFlip = [0, 0];
    for (const report of candidates) {
      for (const pair of report.pairs) {
        if (!hasFault(pair)) continue;
        if (hasKind(pair)) for (const label of new Set([pair.gold?.label, pair.predicted?.label])) if (label !== undefined) byType[label] += 1;
        if (hasType(pair)) byKind[pair.kind] += 1;
      }
    }
    for (const report of documents) if (searched(report)) for (const flip of report.flips) byFlip[flip[0]] += 1;
    const counts = { type: byType, kind: byKind, flip: byFlip };
    for (const input of form.querySelectorAll(".chip input")) {
      input.nextElementSibling.querySelector("small").textContent = counts[input.name][Number(input.value)].toLocaleString("en");
    }
  }

  // ---- drawing

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) if (value !== null) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // Offsets count code points; a JavaScript string counts UTF-16 units, two for those past U+FFFF.
  function units(report, offset) {
    let low = 0, high = report.wide.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (report.wide[middle] < offset) low = middle + 1; else high = middle;
    }
    return offset + low;
  }
  const slice = (report, start, end) => report.text.slice(units(report, start), units(report, end));

  function* visible(text) {
    let last = 0;
    for (const match of text.matchAll(HIDDEN)) {
      const letter = match[0];
      if (letter === "\n" || letter === "\t") continue;
      if (match.index > last) yield text.slice(last, match.index);
      const code = letter.codePointAt(0);
      const name = NAMES[code] ?? `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
      yield make("span", { class: "control", "data-name": name }, letter);
      last = match.index + letter.length;
    }
    if (last < text.length) yield text.slice(last);
  }

  const arabic = (report, entity) => make("bdi", { class: "arabic", dir: "rtl" }, ...visible(slice(report, entity.start, entity.end)));
  const span = (entity) => `[${entity.start}, ${entity.end})`;

  function drawText(report, tracks) {
    const cuts = new Set([0]);
    for (const { gold, predicted } of report.pairs) {
      if (gold && tracks.gold) cuts.add(gold.start).add(gold.end);
      if (predicted && tracks.predicted) cuts.add(predicted.start).add(predicted.end);
    }
    const places = [...cuts].sort((a, b) => a - b);
    const order = new Map(places.map((place, index) => [place, index]));
    const marks = places.map(() => ({}));
    const cover = (side) => report.pairs.forEach((pair, number) => {
      if (!pair[side] || !tracks[side]) return;
      for (let index = order.get(pair[side].start); places[index] < pair[side].end; index += 1) marks[index][side] = number;
    });
    cover("gold");
    cover("predicted");
    const box = make("div", { class: "arabic text", dir: "rtl", lang: "ar" });
    places.forEach((place, index) => {
      const text = report.text.slice(units(report, place), index + 1 < places.length ? units(report, places[index + 1]) : undefined);
      const mark = marks[index];
      if (mark.gold === undefined && mark.predicted === undefined) { box.append(...visible(text)); return; }
      box.append(drawSegment(report, place, mark, text, tracks));
    });
    return box;
  }

  function drawSegment(report, place, mark, text, tracks) {
    const segment = make("span", { class: "segment" });
    // The names hang on the first word, which is never broken over two lines as a whole entity may be.
    const end = text.search(/\s/);
    const head = make("span", { class: "head" }, ...visible(end < 0 ? text : text.slice(0, end)));
    segment.append(head, ...visible(end < 0 ? "" : text.slice(end)));
    const say = [];
    let dim = true, fault = false;
    for (const side of ["gold", "predicted"]) {
      if (mark[side] === undefined) continue;
      const pair = report.pairs[mark[side]];
      const entity = pair[side];
      segment.classList.add(side, `${side}-${entity.label % 6}`);
      segment.dataset[side] = mark[side];
      dim &&= !asked(pair);
      fault ||= pair.kind !== CORRECT;
      const score = side === "predicted" && entity.score !== null ? `, probability ${entity.score.toFixed(3)}` : "";
      say.push(`${side} ${labels[entity.label]} ${span(entity)}${score}`);
      if (entity.start !== place) continue;
      // What is right says its type once; where one side has nothing, that is said.
      if (side === "gold" || pair.kind !== CORRECT || !tracks.gold) head.dataset[`${side}Name`] = codes[entity.label];
      for (const [kind, other] of [[MISSED, "predicted"], [SPURIOUS, "gold"]]) {
        if (pair.kind !== kind || !tracks[other] || mark[other] !== undefined) continue;
        head.dataset[`${other}Name`] = kinds[kind];
        head.classList.add(`no-${other}`);
      }
    }
    segment.classList.toggle("fault", fault);
    segment.classList.toggle("dim", dim);
    segment.title = say.join("\n");
    return segment;
  }

  const chip = (label) => make("span", { class: `code type-${label % 6}` }, labels[label]);

  function drawErrors(report) {
    const rows = report.pairs.map((pair, number) => [pair, number]).filter(([pair]) => pair.kind !== CORRECT && asked(pair));
    if (!rows.length) return [];
    const cell = (entity) => {
      if (!entity) return make("td", { class: "soft" }, "–");
      const score = entity.score == null ? "" : ` · ${entity.score.toFixed(3)}`;
      return make("td", {}, arabic(report, entity), make("small", {}, chip(entity.label), ` ${span(entity)}${score}`));
    };
    const body = rows.map(([pair, number]) => make("tr", { "data-pair": number, tabindex: "0" },
      make("th", { scope: "row", class: "bad" }, kinds[pair.kind]), cell(pair.gold), cell(pair.predicted)));
    const head = ["Error", "Gold", "Predicted"].map((name) => make("th", { scope: "col" }, name));
    return [make("table", { class: "found long" }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body))];
  }

  function drawFlips(report) {
    return report.flips.map(([fixed, start, end, label, change]) => make("p", { class: `flip ${fixed ? "good" : "bad"}` },
      `${fixed ? "✓ fixed" : "✗ broken"} against the baseline, ${change}: `, chip(label), " ", arabic(report, { start, end }), " ",
      make("span", { class: "soft offsets" }, span({ start, end }))));
  }

  function drawReport(report) {
    const facts = [report.published, report.source].filter((fact) => fact).map((fact) => make("bdi", {}, fact));
    const errors = report.errors.length;
    const head = make("header", {},
      make("h3", { class: "mono" }, make("bdi", {}, report.id)),
      make("span", { class: "soft" }, ...facts.flatMap((fact, index) => index ? [" · ", fact] : [fact])),
      make("span", { class: errors ? "bad" : "good" }, errors ? `${errors} ${errors === 1 ? "error" : "errors"}` : "no errors"),
      make("span", { class: "soft" }, `${report.pairs.filter((pair) => pair.gold).length} gold, ${report.pairs.filter((pair) => pair.predicted).length} predicted`));
    const texts = state.view === "sides"
      ? make("div", { class: "sides" },
        make("div", {}, make("h4", {}, "Gold"), drawText(report, { gold: true })),
        make("div", {}, make("h4", {}, "Predicted"), drawText(report, { predicted: true })))
      : drawText(report, { gold: true, predicted: true });
    const findings = [...drawErrors(report), ...drawFlips(report)];
    const wide = state.view === "tracks" && findings.length ? "wide" : null;
    return make("article", { tabindex: "-1", "data-id": report.id, class: wide }, head, texts,
      ...(findings.length ? [make("div", { class: "findings" }, ...findings)] : []));
  }

  function draw(all = false) {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    state.page = Math.min(state.page, pages - 1);
    const first = all ? 0 : state.page * PAGE;
    const shown = all ? found : found.slice(first, first + PAGE);
    list.replaceChildren(...shown.map(drawReport));
    const number = (value) => value.toLocaleString("en");
    document.getElementById("status").textContent = !documents.length ? "No reports."
      : !found.length ? `None of the ${number(documents.length)} reports matches.`
      : `Reports ${number(first + 1)}–${number(first + shown.length)} of ${number(found.length)}`
        + (found.length < documents.length ? `, out of ${number(documents.length)}` : "");
    for (const button of document.querySelectorAll(".pager button")) {
      button.disabled = button.dataset.step < 0 ? state.page === 0 : state.page >= pages - 1;
    }
  }

  function update(page = 0) {
    state.page = page;
    filter();
    draw();
    writeAddress();
  }

  // ---- the filters in the page's address, so that a view can be kept and the tables above can point at one

  function writeAddress() {
    const wanted = new URLSearchParams();
    for (const label of state.type) wanted.append("type", labels[label]);
    for (const kind of state.kind) wanted.append("kind", kinds[kind]);
    for (const flip of state.flip) wanted.append("flip", flip ? "fixed" : "broken");
    if (state.q) wanted.set("q", state.q);
    if (state.sort !== "errors") wanted.set("sort", state.sort);
    if (state.view !== "tracks") wanted.set("view", state.view);
    if (state.errors) wanted.set("errors", "1");
    if (state.page) wanted.set("page", state.page + 1);
    const text = wanted.toString();
    if (text || location.hash.includes("=")) history.replaceState(null, "", text ? `#${text}` : "#reports");
  }

  function readAddress() {
    if (!location.hash.includes("=")) return false;
    const wanted = new URLSearchParams(location.hash.slice(1));
    const places = (name, names) => new Set(wanted.getAll(name).map((one) => names.indexOf(one)).filter((place) => place >= 0));
    state.type = places("type", labels);
    state.kind = places("kind", kinds);
    state.flip = places("flip", ["broken", "fixed"]);
    state.q = wanted.get("q") ?? "";
    state.sort = ["errors", "file", "sure"].find((one) => one === wanted.get("sort")) ?? "errors";
    state.view = wanted.get("view") === "sides" ? "sides" : "tracks";
    state.errors = wanted.get("errors") === "1";
    for (const input of form.elements) {
      if (input.type === "checkbox") input.checked = input.name === "errors" ? state.errors : state[input.name].has(Number(input.value));
      else if (input.name) input.value = state[input.name];
    }
    update(Math.max(0, Number(wanted.get("page") ?? 1) - 1) || 0);
    return true;
  }

  function readForm() {
    for (const name of ["type", "kind", "flip"]) {
      state[name] = new Set([...form.querySelectorAll(`input[name=${name}]:checked`)].map((input) => Number(input.value)));
    }
    state.q = form.elements.q.value;
    state.sort = form.elements.sort.value;
    state.view = form.elements.view.value;
    state.errors = form.elements.errors.checked;
    update();
  }

  // ---- what a person does

  const step = (by) => { update(state.page + by); document.getElementById("reports").scrollIntoView(); };

  // To the report after (1) or before (-1) the one that has the focus, over the ends of pages.
  function move(by) {
    const articles = [...list.children];
    const at = articles.indexOf(document.activeElement?.closest("article"));
    let next = at < 0 ? (by > 0 ? 0 : -1) : at + by;
    if (next >= articles.length && (state.page + 1) * PAGE < found.length) { update(state.page + 1); next = 0; }
    else if (next < 0 && at === 0 && state.page > 0) { update(state.page - 1); next = list.children.length - 1; }
    list.children[next]?.focus({ preventScroll: true });
    list.children[next]?.scrollIntoView({ block: "start" });
  }

  function light(event) {
    const row = event.target.closest?.("tr[data-pair]");
    for (const one of list.querySelectorAll(".lit")) one.classList.remove("lit");
    if (!row || event.type === "mouseout" || event.type === "focusout") return;
    const number = row.dataset.pair;
    for (const one of row.closest("article").querySelectorAll(`[data-gold="${number}"], [data-predicted="${number}"]`)) one.classList.add("lit");
  }

  form.addEventListener("input", readForm);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(readForm));
  for (const button of document.querySelectorAll(".pager button")) button.addEventListener("click", () => step(Number(button.dataset.step)));
  for (const name of ["mouseover", "mouseout", "focusin", "focusout"]) list.addEventListener(name, light);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=search], select")) return;
    if (event.key === "/") { event.preventDefault(); form.elements.q.focus(); }
    if (event.key === "j") move(1);
    if (event.key === "k") move(-1);
  });
  window.addEventListener("hashchange", () => { if (readAddress()) document.getElementById("reports").scrollIntoView(); });
  // Printed is all that the filters leave, not one page of it.
  window.addEventListener("beforeprint", () => draw(true));
  window.addEventListener("afterprint", () => draw());

  document.getElementById("browser").hidden = false;
  if (readAddress()) document.getElementById("reports").scrollIntoView(); else { filter(); draw(); }
})();

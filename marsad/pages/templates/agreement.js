// Keeps what is decided on each disagreement, in this browser and in a file.
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const cards = [...document.querySelectorAll(".card")];
const types = cards.map((card) => JSON.parse(card.dataset.types));
const choices = ["first", "second", "neither"];
const byId = (id) => document.getElementById(id);
const keyOf = (one) => JSON.stringify([one.id, one.start, one.end, one.first, one.second]);
const places = new Map(data.disagreements.map((one, index) => [keyOf(one), index]));
const decided = cards.map(() => null);

function warn(text) {
  byId("warning").textContent = text;
  byId("warning").hidden = false;
}

function remember() {
  try {
    localStorage.setItem(data.name, JSON.stringify(decided));
  } catch {
    warn("This browser does not keep choices for this page: download them before you close it.");
  }
}

function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(data.name) ?? "[]");
    kept.forEach((choice, index) => set(index, choice));
  } catch {
    warn("This browser does not keep choices for this page: download them before you close it.");
  }
}

function set(index, choice) {
  if (index >= cards.length || !(choice === null || choices.includes(choice))) return;
  decided[index] = choice;
  cards[index].classList.toggle("decided", choice !== null);
  for (const input of cards[index].querySelectorAll("input")) input.checked = input.value === choice;
}

function show() {
  const [kind, type, state] = ["kind", "type", "state"].map((id) => byId(id).value);
  let shown = 0;
  cards.forEach((card, index) => {
    card.hidden =
      (kind !== "" && card.dataset.kind !== kind) ||
      (type !== "" && !types[index].includes(type)) ||
      (state !== "" && (state === "decided") !== (decided[index] !== null));
    shown += card.hidden ? 0 : 1;
  });
  count(shown);
}

function count(shown = cards.filter((card) => !card.hidden).length) {
  const done = decided.filter((choice) => choice !== null).length;
  byId("progress").textContent = `${done} of ${cards.length} decided, ${shown} shown`;
  byId("save").disabled = done === 0;
}

function decide(index, choice) {
  set(index, choice);
  remember();
  count();
}

function save() {
  const lines = decided.flatMap((choice, index) =>
    choice === null ? [] : [`${JSON.stringify({ ...data.disagreements[index], choice })}\n`],
  );
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob(lines, { type: "application/jsonl" }));
  link.download = "decisions.jsonl";
  link.click();
  URL.revokeObjectURL(link.href);
}

async function load(file) {
  let taken = 0;
  let foreign = 0;
  try {
    for (const line of (await file.text()).split("\n").filter((one) => one.trim() !== "")) {
      const record = JSON.parse(line);
      const index = places.get(keyOf(record));
      if (index === undefined || !choices.includes(record.choice)) {
        foreign += 1;
      } else {
        set(index, record.choice);
        taken += 1;
      }
    }
  } catch (error) {
    warn(`${file.name} is no file of decisions: ${error.message}`);
  }
  if (foreign > 0) warn(`${foreign} decisions in ${file.name} are on no disagreement of this page.`);
  if (taken > 0) remember();
  show();
}

function move(step) {
  const shown = cards.filter((card) => !card.hidden);
  const place = shown.indexOf(document.activeElement.closest(".card"));
  const next = shown[place < 0 ? 0 : Math.min(Math.max(place + step, 0), shown.length - 1)];
  if (next !== undefined) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "BUTTON"].includes(event.target.tagName)) return;
  const index = cards.indexOf(document.activeElement.closest(".card"));
  const keys = { 1: "first", 2: "second", 0: "neither", x: null };
  if (event.key === "j" || event.key === "k") {
    move(event.key === "j" ? 1 : -1);
  } else if (index >= 0 && event.key in keys) {
    decide(index, keys[event.key]);
  } else {
    return;
  }
  event.preventDefault();
});
cards.forEach((card, index) => card.addEventListener("change", (event) => decide(index, event.target.value)));
for (const id of ["kind", "type", "state"]) byId(id).addEventListener("change", show);
byId("save").addEventListener("click", save);
byId("load").addEventListener("click", () => byId("file").click());
byId("file").addEventListener("change", (event) => {
  if (event.target.files.length > 0) load(event.target.files[0]);
  event.target.value = "";
});
recall();
show();

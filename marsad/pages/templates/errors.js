// Shows the suspects of a kind, a type or a report.
"use strict";
const cards = [...document.querySelectorAll(".card")];
const types = cards.map((card) => JSON.parse(card.dataset.types));
const byId = (id) => document.getElementById(id);

function show() {
  const [kind, type, report] = ["kind", "type", "report"].map((id) => byId(id).value);
  cards.forEach((card, index) => {
    card.hidden =
      (kind !== "" && card.dataset.kind !== kind) ||
      (type !== "" && !types[index].includes(type)) ||
      !card.dataset.report.includes(report);
  });
  byId("shown").textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} shown`;
}

function move(step) {
  const shown = cards.filter((card) => !card.hidden);
  const place = shown.indexOf(document.activeElement.closest(".card"));
  const next = shown[place < 0 ? 0 : Math.min(Math.max(place + step, 0), shown.length - 1)];
  if (next !== undefined) next.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || ["SELECT", "INPUT"].includes(event.target.tagName)) return;
  if (event.key !== "j" && event.key !== "k") return;
  move(event.key === "j" ? 1 : -1);
  event.preventDefault();
});
for (const id of ["kind", "type", "report"]) byId(id).addEventListener("input", show);
show();

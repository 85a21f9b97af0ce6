// Shows the rows that hold what is sought.
"use strict";
const find = document.getElementById("find");
const rows = [...document.querySelectorAll(".row")].map((row) => [row, row.textContent.toLowerCase()]);
find.addEventListener("input", () => {
  const sought = find.value.trim().toLowerCase();
  let shown = 0;
  for (const [row, text] of rows) {
    row.hidden = sought !== "" && !text.includes(sought);
    shown += row.hidden ? 0 : 1;
  }
  document.getElementById("found").textContent = sought === "" ? "" : `${shown} of ${rows.length}`;
});

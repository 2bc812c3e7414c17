// One mark for all rows of a form with data-selection; without this script each row is marked by itself.
"use strict";

for (const form of document.querySelectorAll("[data-selection]")) {
  const all = form.querySelector("[data-all]");
  const rows = [...form.querySelectorAll('input[name="task"]')];
  all.closest("label").hidden = false;
  all.addEventListener("change", () => rows.forEach((row) => (row.checked = all.checked)));
  form.addEventListener("change", () => {
    all.checked = rows.every((row) => row.checked);
    all.indeterminate = !all.checked && rows.some((row) => row.checked);
  });
}

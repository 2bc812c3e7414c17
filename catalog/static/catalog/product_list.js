// The list of products: filters apply as they are changed, and products are chosen and marked, while the page stays.
// Without this script filters apply by their button, and every action loads the page again.

const filters = document.querySelector("form.filters");
const trouble = document.querySelector("[data-trouble]");
let latest = 0;
let lastPicked = null;

const getResults = () => document.getElementById("results");
const getPicks = () => [...getResults().querySelectorAll('.pick input[type="checkbox"]')];

function describeAddress() {
  const parameters = new URLSearchParams(new FormData(filters));
  for (const [name, value] of [...parameters]) if (!value) parameters.delete(name, value);
  return `${filters.getAttribute("action")}${parameters.size ? "?" : ""}${parameters}`;
}

// Takes the parts of the page from an answer, but for those that somebody has the keyboard in. Whoever has it in a
// product goes on with the next one that was not chosen.
function show(page) {
  const before = getPicks();
  const hasFocus = getResults().contains(document.activeElement);
  const place = before.indexOf(document.activeElement.closest(".card")?.querySelector(".pick input"));
  const next = place < 0 ? null : before.slice(place).find((pick) => !pick.checked);
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.getElementById(part.id);
    if (fresh && (part === getResults() || !part.contains(document.activeElement))) part.replaceWith(fresh);
  }
  document.title = page.title;
  lastPicked = null;
  describeChoice();
  if (!hasFocus) return;
  const picks = getPicks();
  const there = picks.find((pick) => pick.value === next?.value) ?? picks[Math.min(Math.max(place, 0), picks.length - 1)];
  (there ?? document.getElementById("main")).focus();
}

// Asks for a page and shows it; of several that are under way the last one is shown.
async function load(address, { history: remember = false, ...options } = {}) {
  const asked = ++latest;
  getResults().setAttribute("aria-busy", "true");
  try {
    const answer = await fetch(address, options);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.status >= 500) throw new Error(answer.statusText);
    if (asked !== latest) return;
    if (!page.getElementById("results")) {
      if (answer.redirected) location.assign(answer.url);
      else document.getElementById("main").replaceChildren(...page.getElementById("main").childNodes);
      return;
    }
    if (remember && answer.url !== location.href) history.pushState(null, "", answer.url);
    [shown] = location.href.split("#");
    show(page);
    trouble.hidden = true;
  } catch {
    if (asked !== latest) return;
    trouble.hidden = false;
  }
  getResults().removeAttribute("aria-busy");
}

function describeChoice() {
  const picks = getPicks();
  const chosen = picks.filter((pick) => pick.checked).length;
  const all = document.querySelector("[data-all]");
  const bar = document.querySelector(".chosen-bar");
  if (!bar) return;
  all.closest("label").hidden = false;
  all.checked = chosen > 0 && chosen === picks.length;
  all.indeterminate = chosen > 0 && chosen < picks.length;
  bar.hidden = chosen === 0;
  bar.querySelector("[data-chosen]").textContent = chosen ? `${chosen} chosen` : "";
  bar.querySelector("[data-none]").hidden = false;
}

function choose(picks, checked) {
  picks.forEach((pick) => (pick.checked = checked));
  describeChoice();
}

filters.querySelector("[data-apply]").hidden = true;
filters.addEventListener("change", () => load(describeAddress(), { history: true }));

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form === filters) {
    event.preventDefault();
    load(describeAddress(), { history: true });
  } else if (form.matches("[data-action]") && !event.submitter?.matches("[data-file]")) {
    event.preventDefault();
    if (getResults().getAttribute("aria-busy") === "true") return;
    load(form.getAttribute("action"), { method: "POST", body: new URLSearchParams(new FormData(form, event.submitter)) });
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-all]")) choose(getPicks(), event.target.checked);
  else if (event.target.matches(".pick input")) describeChoice();
});

document.addEventListener("click", (event) => {
  if (event.target.matches("[data-none]")) {
    choose(getPicks(), false);
    getPicks()[0]?.focus();
  }
  if (!event.target.matches(".pick input")) return;
  const picks = getPicks();
  const place = picks.indexOf(event.target);
  if (event.shiftKey && lastPicked !== null) {
    const [first, last] = [Math.min(place, lastPicked), Math.max(place, lastPicked)];
    choose(picks.slice(first, last + 1), event.target.checked);
  }
  lastPicked = place;
});

// How far the next row is: as many products as stand beside each other.
function countColumns() {
  const tops = [...document.querySelectorAll(".grid .card")].map((card) => card.offsetTop);
  return Math.max(1, tops.filter((top) => top === tops[0]).length);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("form.filters, select, textarea")) return;
  const picks = getPicks();
  const card = event.target.closest(".card");
  const place = picks.indexOf(card?.querySelector(".pick input"));
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -countColumns(), ArrowDown: countColumns() };
  if (event.key in steps && place >= 0) {
    event.preventDefault();
    const next = picks[place + steps[event.key]];
    if (next && event.shiftKey) choose([picks[place], next], true);
    next?.focus();
    return;
  }
  if (event.key === "Escape" && picks.some((pick) => pick.checked)) {
    choose(picks, false);
    return;
  }
  const button = getResults().querySelector(`button[data-key="${CSS.escape(event.key)}"]`);
  if (!button) return;
  if (button.closest(".chosen-bar") && !picks.some((pick) => pick.checked)) {
    if (place < 0) return;
    choose([picks[place]], true);
  }
  event.preventDefault();
  button.form.requestSubmit(button);
});

// The skip link changes no more than the fragment: the page stays.
let shown = location.href.split("#")[0];
addEventListener("popstate", () => {
  const address = location.href.split("#")[0];
  if (address !== shown) location.reload();
});
describeChoice();

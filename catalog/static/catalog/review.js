// The review screen: keys, pointer and touch give pictures their labels. A label is painted at once and saved behind it;
// what could not be saved yet is kept in the browser and sent again, also after the page was lost; what the site refuses
// is painted back. Without this script the page is a form of radio buttons.

const area = document.getElementById("review");
const place = document.getElementById("tiles");
const bar = document.getElementById("bar");
const told = document.getElementById("told");
const progress = document.getElementById("progress");
const trouble = document.getElementById("trouble");
const look = document.getElementById("look");
const keys = document.getElementById("keys");
const signedOut = document.getElementById("signed-out");
const refused = document.getElementById("refused");
const { reviews: REVIEWS, batches: BATCHES, kept: KEPT } = area.dataset;
const RENEW_MS = 120_000;
const PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

// Of a whole call; what comes of a single label is its own result.
const REFUSALS = [400, 413, 415];

// They lead to the tiles from the second on; the letters that are missing have a meaning of their own.
const LETTERS = "bcdefghijklmnopqrstuvwy";
const GARMENT_KEYS = "7890";
const buttons = new Map([...bar.querySelectorAll("[data-key]")].map((button) => [button.dataset.key, button]));
const names = new Map([...bar.querySelectorAll("[name=label]")].map(({ value, dataset }) => [value, dataset.name]));
const garments = new Map([...bar.querySelectorAll("[data-group]")].map((row) => [row.dataset.group, row]));

const createKey = () => crypto.getRandomValues(new Uint32Array(4)).join("-");
const buildLabel = (value, garment = "") => ({ value, garment, key: createKey() });
const nameLabel = ({ value, garment }) => (garment ? `${value}, ${garment}` : names.get(value));
const isOpen = (tile) => tile.label === null && !tile.isGone;
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// --- pages of tiles ---

const pages = [];
const steps = [];
let page, fetched, refusedTile, renewedAt = Date.now();
let current = 0, start = 0, range = null, isPointing = false, justLabelled = null;

function addPage(list) {
  const added = { list, batch: list.dataset.batch };
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-multiselectable", "true");
  added.tiles = [...list.children].map((element, index) => {
    const { image, appearance, suggestion, suggestedGarment, label, garment } = element.dataset;
    seen.set(image, Number(element.dataset.seen) || null);
    element.querySelector("fieldset").remove();
    element.querySelector(".letter").textContent = LETTERS[index - 1] ?? "";
    element.setAttribute("role", "option");
    element.tabIndex = -1;
    const title = element.querySelector(".title").textContent;
    // A label that is still to be taken back is none, whether the site has it by now or not.
    const taken = waiting.flatMap(({ withdrawn = [] }) => withdrawn).filter((row) => row.image === image);
    const said = waiting.flatMap(({ labels = [] }) => labels).filter((row) => row.image === image);
    const unsaved = said.findLast(({ key }) => !taken.some((row) => row.key === key));
    const given = unsaved ?? (label && taken.length === 0 ? { value: label, garment } : null);
    return { page: added, element, index, image, appearance, suggestion, suggestedGarment, title, label: given, isGone: false };
  });
  added.tiles.forEach(paint);
  pages.push(added);
  return added;
}

function paint({ element, title, label, suggestion, isGone }) {
  element.classList.toggle("gone", isGone);
  element.classList.toggle("labelled", label !== null);
  element.classList.toggle("corrected", label !== null && label.value !== suggestion);
  element.querySelector(".said").textContent = label ? nameLabel(label) : "";
  // What is read out: the label instead of what was suggested.
  element.ariaLabel = label ? `${title}: ${nameLabel(label)}` : null;
}

function showPage(shown) {
  page = shown;
  place.replaceChildren(page.list);
  isPointing = false;
  range = null;
  current = start = Math.max(0, page.tiles.findIndex(isOpen));
  goTo(current);
  showProgress();
  if (page === pages.at(-1)) fetched = fetchPage();
}

/** Fetch the page after the last one, with its pictures; resolves to it, or to null where nothing waits any more. */
async function fetchPage() {
  const address = new URL(location.href);
  address.searchParams.set("after", pages.at(-1).batch);
  for (let pause = PAUSE_MS; ; pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    try {
      const answer = await fetch(address, { cache: "no-store" });
      if (answer.redirected) location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      const holder = document.createElement("template");
      holder.innerHTML = await answer.text();
      const list = document.importNode(holder.content.querySelector("ol"), true);
      await Promise.allSettled(Array.from(list.querySelectorAll("img"), (picture) => picture.decode()));
      return list.children.length ? addPage(list) : null;
    } catch {
      await wait(pause);
    }
  }
}

async function turnPage() {
  const from = page;
  let next = pages.slice(pages.indexOf(from) + 1).find(({ tiles }) => tiles.some(isOpen));
  if (!next) {
    place.ariaBusy = "true";
    next = await fetched;
    place.ariaBusy = "false";
    // A label of this page may have been taken back while the next one was on its way.
    if (page !== from || from.tiles.some(isOpen)) return;
  }
  if (next) showPage(next);
  else tell("Nothing is left in this queue.");
}

// --- where the reader is ---

function goTo(index) {
  const { tiles } = page;
  tiles[current].element.tabIndex = -1;
  current = Math.min(Math.max(index, 0), tiles.length - 1);
  const chosen = listChosen();
  for (const tile of tiles) tile.element.ariaSelected = String(chosen.includes(tile));
  const { element } = tiles[current];
  element.tabIndex = 0;
  element.focus({ preventScroll: true });
  if (!isPointing) element.scrollIntoView({ block: "nearest" });
}

/** Go where the reader wants to be, rather than where a label leads; `extend` takes all tiles from the last such place. */
function move(index, { extend = false } = {}) {
  justLabelled = null;
  const to = Math.min(Math.max(index, 0), page.tiles.length - 1);
  if (!extend) start = to;
  range = extend ? [Math.min(start, to), Math.max(start, to)] : null;
  goTo(to);
}

const listChosen = () => (range ? page.tiles.slice(range[0], range[1] + 1) : [page.tiles[current]]);
const countColumns = () => getComputedStyle(page.list).gridTemplateColumns.split(" ").length;

function goOn() {
  const last = range ? range[1] : current;
  range = null;
  const after = page.tiles.findIndex((tile) => tile.index > last && isOpen(tile));
  if (!isPointing) start = after < 0 ? page.tiles.findIndex(isOpen) : after;
  goTo(isPointing ? current : start);
}

// --- labels ---

/** Give each tile the label that `choose` has for it, and go on unless `stay`. Returns whether there was one to give. */
function give(tiles, choose, { stay = false } = {}) {
  const changes = tiles.map((tile) => ({ tile, before: tile.label, after: choose(tile) })).filter(({ after }) => after);
  if (!changes.length) return false;
  steps.push(changes);
  for (const { tile, after } of changes) {
    tile.label = after;
    paint(tile);
  }
  save(changes);
  justLabelled = changes.map(({ tile }) => tile);
  const given = [...new Set(changes.map(({ after }) => nameLabel(after)))];
  tell(`${given.length === 1 ? given[0] : "Accepted"}: ${describeTiles(justLabelled)}`);
  offerGarments(given.length === 1 ? changes[0].after.value : "");
  showProgress();
  if (stay) return true;
  if (page.tiles.some(isOpen)) goOn();
  else turnPage();
  return true;
}

const describeTiles = (tiles) => (tiles.length === 1 ? tiles[0].title : `${tiles.length} pictures`);
const chooseSuggestion = (tile) => (isOpen(tile) && tile.suggestion ? buildLabel(tile.suggestion, tile.suggestedGarment) : null);

function nameGarment(number) {
  const choose = (tile) => {
    const group = tile.label?.value ?? tile.suggestion;
    const button = garments.get(group)?.querySelectorAll("button")[number];
    return button ? buildLabel(group, button.value) : null;
  };
  const isGiven = give(justLabelled ?? listChosen(), choose, { stay: justLabelled !== null });
  if (!isGiven) tell("This group has no such garment.");
}

function accept() {
  if (give(listChosen(), chooseSuggestion)) return;
  if (listChosen().some(isOpen)) tell("No suggestion is shown here. What do you see?");
  else goOn();
}

function acceptAll() {
  const shown = page;
  give(page.tiles, chooseSuggestion);
  const left = shown.tiles.filter(isOpen).length;
  if (left) tell(`Left without a suggestion: ${left}. What do you see?`);
}

function undo() {
  const changes = steps.pop();
  if (!changes) {
    tell("Nothing to undo.");
    return;
  }
  for (const { tile, before } of changes) {
    tile.label = before;
    paint(tile);
  }
  withdraw(changes);
  const [{ tile }] = changes;
  if (tile.page !== page) showPage(tile.page);
  move(tile.index);
  showProgress();
  tell(`Undone: ${describeTiles(changes.map((change) => change.tile))}`);
}

function tell(sentence) {
  told.textContent = sentence;
}

function showProgress() {
  progress.textContent = `${page.tiles.filter((tile) => !isOpen(tile)).length} of ${page.tiles.length}`;
}

function offerGarments(group) {
  for (const [name, row] of garments) row.hidden = name !== group;
}

// --- what is on its way to the site ---

// Each entry is one call: labels, under a key by which the site knows them when they come twice, or labels that are taken
// back. Each has an item of its own in the browser's store, so that two tabs do not meet.
const waiting = Object.keys(localStorage)
  .filter((name) => name.startsWith(KEPT))
  .map((name) => JSON.parse(localStorage.getItem(name)))
  .sort((one, other) => one.at - other.at);
const changeOf = new Map();
// The person's label of each image that the reader knows of; the site refuses to write over any other.
const seen = new Map();
let isSending = false;

function keep(entry) {
  localStorage.setItem(KEPT + entry.key, JSON.stringify(entry));
}

function drop(entry) {
  waiting.splice(waiting.indexOf(entry), 1);
  localStorage.removeItem(KEPT + entry.key);
}

function add(fields) {
  const entry = { key: createKey(), at: Date.now(), ...fields };
  waiting.push(entry);
  keep(entry);
}

function save(changes) {
  const rows = changes.map((change) => {
    const { tile, after } = change;
    changeOf.set(after.key, change);
    return { ...after, image: tile.image, appearance: tile.appearance, batch: tile.page.batch };
  });
  const last = waiting.at(-1);
  if (last?.labels && !last.isSent && !rows.some((row) => last.labels.some(({ image }) => image === row.image))) {
    last.labels.push(...rows);
    keep(last);
  } else {
    add({ labels: rows });
  }
  send();
}

/** Take labels back: what nobody has sent yet is as never given, the rest is withdrawn. */
function withdraw(changes) {
  const taken = new Map(changes.map((change) => [change.after.key, change]));
  for (const entry of waiting.filter(({ labels, isSent }) => labels && !isSent)) {
    entry.labels = entry.labels.filter(({ key }) => !taken.delete(key));
    if (entry.labels.length) keep(entry);
    else drop(entry);
  }
  const rows = [...taken].map(([key, { review, seenBefore, tile }]) => ({ key, review, seenBefore, image: tile.image }));
  if (rows.length) add({ withdrawn: rows });
  send();
}

function send() {
  if (!isSending) sendAll();
}

async function sendAll() {
  isSending = true;
  for (let pause = PAUSE_MS; waiting.length; ) {
    const [entry] = waiting;
    let status = 0;
    try {
      status = entry.labels ? await sendLabels(entry) : await sendWithdrawals(entry);
    } catch {
      // The site did not answer, or not as it should.
    }
    const isDone = status === 200;
    signedOut.hidden = status !== 401 && status !== 403;
    trouble.hidden = isDone || !signedOut.hidden;
    if (isDone) {
      drop(entry);
    } else {
      await wait(pause);
    }
    pause = isDone ? PAUSE_MS : Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
  isSending = false;
}

const call = (address, { key = "", body } = {}) =>
  fetch(address, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-CSRFToken": document.cookie.match(/csrftoken=(\w+)/)?.[1] ?? "",
      ...(key && { "Idempotency-Key": key }),
    },
    body: JSON.stringify(body),
    keepalive: true,
  });

/** Send labels and take in what became of each; resolves to 200 when that is settled, else to the answer's status. */
async function sendLabels(entry) {
  if (!entry.isSent) {
    // From here on the call is the same however often it is made.
    for (const row of entry.labels) row.seen = seen.get(row.image) ?? null;
    entry.isSent = true;
    keep(entry);
  }
  const body = entry.labels.map(({ image, batch, appearance, seen: seen_review, value, garment }) => ({
    image, batch, appearance, seen_review,
    ...(garments.has(value) ? { verdict: "group", group: value, garment } : { verdict: value }),
  }));
  const answer = await call(REVIEWS, { key: entry.key, body });
  if (answer.status === 422) {
    // Another tab sent it as it was then; what is the same is no conflict.
    localStorage.removeItem(KEPT + entry.key);
    entry.key = createKey();
    keep(entry);
  }
  if (!answer.ok && !REFUSALS.includes(answer.status)) return answer.status;
  const { results, detail } = await answer.json();
  entry.labels.forEach((row, index) => settle(row, results?.[index] ?? { outcome: "invalid", detail }));
  return 200;
}

function settle(row, { outcome, detail, review, standing }) {
  const change = changeOf.get(row.key);
  if (outcome === "recorded") {
    seen.set(row.image, review.id);
    if (change) Object.assign(change, { review: review.id, seenBefore: row.seen });
    for (const entry of waiting) {
      const taken = entry.withdrawn?.find(({ key }) => key === row.key);
      if (!taken) continue;
      Object.assign(taken, { review: review.id, seenBefore: row.seen });
      keep(entry);
    }
    return;
  }
  if (standing) seen.set(row.image, standing.id);
  refused.hidden = false;
  refused.firstElementChild.textContent = change ? `${change.tile.title}: ${detail}` : detail;
  refused.lastElementChild.hidden = !change;
  if (!change) return;
  const { tile, before, after } = change;
  refusedTile = tile;
  const step = steps.find((changes) => changes.includes(change));
  step?.splice(step.indexOf(change), 1);
  if (step?.length === 0) steps.splice(steps.indexOf(step), 1);
  if (tile.label === after) tile.label = before;
  tile.isGone = !standing && outcome !== "invalid";
  tile.element.querySelector(".beside").textContent = detail;
  paint(tile);
  showProgress();
}

async function sendWithdrawals({ withdrawn }) {
  // What has no number was refused.
  for (const row of withdrawn.filter(({ review }) => review)) {
    const answer = await call(`${REVIEWS}${row.review}/withdraw/`);
    if (!answer.ok && answer.status !== 404) return answer.status;
    seen.set(row.image, row.seenBefore);
  }
  return 200;
}

/** Put off the end of the time for which the page's pictures are the reader's; every label does that as well. */
function renew() {
  if (Date.now() - renewedAt < RENEW_MS) return;
  renewedAt = Date.now();
  for (const { batch, tiles } of pages) if (tiles.some(isOpen)) call(`${BATCHES}${batch}/renew/`).catch(() => {});
}

// --- one picture, large ---

async function showLook() {
  const shown = page.tiles[current].element.dataset.look;
  if (look.dataset.shown === shown) return;
  look.dataset.shown = shown;
  await fill(look.lastElementChild, shown, shown);
  for (const link of look.querySelectorAll(".why a")) fill(link.parentElement, `${link.href}?fragment`, shown);
}

/** Put the part of a page into a place of the picture that is `shown` large, unless that is another one by then. */
async function fill(holder, source, shown) {
  const answer = await fetch(source);
  const part = await answer.text();
  if (answer.ok && look.dataset.shown === shown) holder.innerHTML = part;
}

function openLook() {
  if (look.open) {
    look.close();
    return;
  }
  look.showModal();
  // Not on its button, which Space and Enter would press.
  look.lastElementChild.focus();
  showLook();
}

// --- keys, pointer, touch ---

const ACTS = { accept, "accept-all": acceptAll, undo, look: openLook, keys: () => keys.showModal() };
const MOVES = {
  ArrowLeft: () => current - 1,
  ArrowRight: () => current + 1,
  ArrowUp: () => Math.max(current - countColumns(), 0),
  ArrowDown: () => current + countColumns(),
  Home: () => 0,
  End: () => page.tiles.length - 1,
};

function press({ name, value, dataset }) {
  renew();
  if (name === "label") give(listChosen(), () => buildLabel(value));
  else if (name === "garment") nameGarment(Number(dataset.garment));
  else if (name === "act") ACTS[value]();
}

/** Do what the key means; returns whether it means anything. */
function take(key, { repeat, shiftKey }) {
  const button = buttons.get(key);
  const letter = shiftKey ? 0 : LETTERS.indexOf(key) + 1;
  if (button) {
    if (!repeat) press(button);
  } else if (GARMENT_KEYS.includes(key)) {
    if (!repeat) nameGarment(GARMENT_KEYS.indexOf(key));
  } else if (key in MOVES || (letter && letter < page.tiles.length)) {
    isPointing = false;
    move(key in MOVES ? MOVES[key]() : letter, { extend: shiftKey });
  } else if (key === "Escape" && !look.open) {
    move(current);
  } else {
    return false;
  }
  if (look.open) showLook();
  return true;
}

document.addEventListener("keydown", (event) => {
  const { target, code, key } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || keys.open) return;
  if (target !== document.body && !area.contains(target) && !look.contains(target)) return;
  if ((key === " " || key === "Enter") && target.closest("button, a, summary")) return;
  // Digits are where they are, whatever the keyboard writes there without Shift.
  const typed = /^Digit\d$/.test(code) && !event.shiftKey ? code.at(-1) : key;
  if (take(typed.length === 1 ? typed.toLowerCase() : typed, event)) event.preventDefault();
});

const findTile = ({ target }) => page.tiles.find(({ element }) => element.contains(target));
let lastPlace = "";

place.addEventListener("pointermove", (event) => {
  // A page that scrolls under a pointer at rest moves nothing.
  const at = `${event.clientX} ${event.clientY}`;
  if (event.pointerType !== "mouse" || at === lastPlace) return;
  lastPlace = at;
  const tile = findTile(event);
  if (!tile || event.shiftKey || (isPointing && tile.index === current)) return;
  isPointing = true;
  justLabelled = null;
  goTo(tile.index);
});
place.addEventListener("pointerleave", () => (isPointing = false));
place.addEventListener("click", (event) => {
  const tile = findTile(event);
  if (tile) move(tile.index, { extend: event.shiftKey });
});
place.addEventListener("dblclick", (event) => findTile(event) && openLook());
bar.addEventListener("click", ({ target }) => {
  const button = target.closest("button");
  if (button) press(button);
});
refused.lastElementChild.addEventListener("click", () => {
  refused.hidden = true;
  if (refusedTile.page !== page) showPage(refusedTile.page);
  move(refusedTile.index);
});
look.addEventListener("close", () => goTo(current));

// --- start ---

area.querySelector(".send").remove();
bar.hidden = false;
send();
showPage(addPage(place.querySelector("ol")));

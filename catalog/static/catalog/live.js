// Keeps the parts of a page that are marked data-live up to date: asks for the page again and takes them from the
// answer. When the answer has none any more, what was waited for has ended, and the page is loaded once more.
// Without this script the page asks again by itself (the refresh in its head).
"use strict";

const PAUSE_MS = 2000;
const LONGEST_PAUSE_MS = 30000;
let pause = PAUSE_MS;

const getText = (part) => part.innerHTML.replace(/(name="csrfmiddlewaretoken" value=")[^"]*/g, "$1");

function show(page) {
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    // What somebody has the keyboard in, and what has not changed, stays.
    if (fresh && !part.contains(document.activeElement) && getText(fresh) !== getText(part)) {
      part.replaceChildren(...fresh.childNodes);
    }
  }
  document.title = page.title;
}

async function ask() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", ask, { once: true });
    return;
  }
  try {
    const answer = await fetch(location.href, { cache: "no-store" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (answer.status >= 500) throw new Error(answer.statusText);
    if (answer.redirected || !answer.ok || !page.querySelector("[data-live]")) {
      location.reload();
      return;
    }
    showLocalTimes(page);
    show(page);
    pause = PAUSE_MS;
  } catch {
    pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
  }
  document.querySelectorAll("[data-live-trouble]").forEach((note) => (note.hidden = pause === PAUSE_MS));
  setTimeout(ask, pause);
}

setTimeout(ask, pause);

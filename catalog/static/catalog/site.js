// Times in the reader's zone, as exact as they are written; arrows that lead to what is before and behind, where a page
// links to it; and pages that the browser kept are asked for again when somebody comes back to them. Without this script
// times are in UTC, and say so.
"use strict";

function showLocalTimes(root) {
  for (const place of root.querySelectorAll("time[datetime]")) {
    const text = place.textContent;
    if (!text.endsWith(" UTC")) continue;
    const style = { hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
    if (/\d{4}/.test(text)) Object.assign(style, { day: "numeric", month: "short", year: "numeric" });
    if (/:\d\d:/.test(text)) style.second = "2-digit";
    place.textContent = new Intl.DateTimeFormat("en-GB", style).format(new Date(place.dateTime));
    place.title = new Date(place.dateTime).toISOString();
  }
}

showLocalTimes(document);
addEventListener("pageshow", (event) => event.persisted && location.reload());

// Whoever has the keyboard in a field, in a list of choices or in what scrolls needs the arrows there.
const OWN_ARROWS = "input, select, textarea, summary, .card, .strip, .wide, [contenteditable]";

addEventListener("keydown", (event) => {
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  if (!rel || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target.closest?.(OWN_ARROWS)) return;
  document.querySelector(`a[rel="${rel}"]`)?.click();
});

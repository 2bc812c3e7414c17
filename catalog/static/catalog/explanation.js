// Puts the reasons of a label into the product's page when they come near the screen. Without this script the links
// lead to pages with the same content.
"use strict";

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter(({ isIntersecting }) => isIntersecting)) {
      watcher.unobserve(entry.target);
      showReasons(entry.target);
    }
  },
  { rootMargin: "200px" },
);

async function showReasons(place) {
  const response = await fetch(`${place.querySelector("a").href}?fragment`);
  if (response.ok) {
    place.innerHTML = await response.text();
  }
}

document.querySelectorAll(".why").forEach((place) => watcher.observe(place));

// Puts the reasons of a label, and similar products, into the product's page when they come near the screen. Without
// this script the links lead to pages with the same content.
"use strict";

const watcher = new IntersectionObserver(
  (entries) => {
    for (const entry of entries.filter(({ isIntersecting }) => isIntersecting)) {
      watcher.unobserve(entry.target);
      showContent(entry.target);
    }
  },
  { rootMargin: "200px" },
);

async function showContent(place) {
  const response = await fetch(`${place.querySelector("a").href}?fragment`);
  if (response.ok) {
    place.innerHTML = await response.text();
  }
}

document.querySelectorAll(".why, .similar").forEach((place) => watcher.observe(place));

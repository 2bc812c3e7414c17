"""What a reviewer does and waits for at the review page: keys, clicks and the browser's time for each picture.

    python -m benchmarks.review_screen [--pages N] [--pause SECONDS] [--site ADDRESS] [--json]

A page has 24 pictures with suggestions, of which six are corrected and the others accepted at once: by turns with the
pointer, which moves and does not click, and by keys alone. A picture's time begins with the key that labels it and ends
when the browser has drawn what follows from it; after the key that fills a page that is the next page with all of its
pictures. The page's own time is that of its thread on a processor, which other work on the machine does not lengthen.
Between keys the person thinks. ADDRESS is that of a site, such as http://admin:PASSWORD@127.0.0.1:8000; without one it
is the demo, on a folder of its own.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any, Final

from playwright.sync_api import CDPSession, Page, sync_playwright

from benchmarks.machine import describe_machine, machine_lines
from classifier.ml.labels import GROUPS
from tests.support.browsing import DemoSite, create_context, find_chromium, launch, read_site, sign_in, wait_until_saved
from tests.support.running_demo import start_demo

QUEUE: Final = "/review/list/?status=labelled"
#: The places of the tiles that are corrected.
WRONG: Final = (2, 3, 9, 14, 20, 23)
# Keeps, for each key, the milliseconds until what follows from it is drawn, pictures of a new page included.
TIMES: Final = """
globalThis.times = [];
addEventListener("keydown", async ({ timeStamp }) => {
  const isDrawn = () => [...document.querySelectorAll("#tiles img")].every(({ complete }) => complete);
  const isBusy = () => document.querySelector("#tiles").ariaBusy === "true";
  do {
    await new Promise((resolve) => requestAnimationFrame(resolve));
    await new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = resolve;
      port2.postMessage(0);
    });
  } while (isBusy() || !isDrawn());
  times.push(performance.now() - timeStamp);
}, true);
"""


@dataclass
class Work:
    """Keys and clicks of each page; milliseconds of each picture until it is drawn, and of the page's thread."""

    keys: list[int] = field(default_factory=list)
    drawn: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)

    def add(self, times: tuple[float, float], *, pictures: int = 1) -> None:
        """Note the times of pictures that were labelled by one key."""
        self.drawn += pictures * [times[0]]
        self.own += pictures * [times[1]]


def review_page(page: Page, thread: CDPSession, work: Work, *, is_pointing: bool, pause: float) -> None:
    """Correct the tiles at the places, accept the others, and note what that took."""
    tiles, keys = page.locator("#tiles li"), 0
    number, batch = tiles.count(), page.locator("#tiles ol").get_attribute("data-batch")

    def press(key: str) -> tuple[float, float]:
        nonlocal keys
        keys += 1
        time.sleep(pause)
        known, before = page.evaluate("times.length"), read_thread_milliseconds(thread)
        page.keyboard.press(key)
        while page.evaluate("times.length") == known:
            page.wait_for_timeout(5)
        return float(page.evaluate("times.at(-1)")), read_thread_milliseconds(thread) - before

    for place in WRONG:
        tile = tiles.nth(place)
        group = next(name for name in GROUPS if name != tile.get_attribute("data-suggestion"))
        if is_pointing:
            tile.hover()
        else:
            press(tile.locator(".letter").inner_text())
        work.add(press(str(GROUPS.index(group) + 1)))
    work.add(press("a"), pictures=number - len(WRONG))
    work.keys.append(keys)
    page.locator(f"#tiles ol:not([data-batch='{batch}'])").wait_for()


def read_thread_milliseconds(thread: CDPSession) -> float:
    """Return how long the page's main thread has been on a processor."""
    metrics = {entry["name"]: entry["value"] for entry in thread.send("Performance.getMetrics")["metrics"]}
    return 1000.0 * float(metrics["TaskDuration"])


def measure(site: DemoSite, *, pages: int, pause: float) -> dict[str, Any]:
    """Return the figures of so many pages each way; raises `RuntimeError` without a Chromium."""
    program = find_chromium()
    if program is None:
        raise RuntimeError("expected a Chromium: Debian's package chromium-headless-shell, or its path in CHROMIUM")
    ways = {"pointer": Work(), "keyboard": Work()}
    with sync_playwright() as playwright:
        context = create_context(launch(playwright, program), site)
        sign_in(context, site)
        context.add_init_script(TIMES)
        page = context.new_page()
        thread = context.new_cdp_session(page)
        thread.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(QUEUE)
        for _ in range(pages):
            for name, work in ways.items():
                review_page(page, thread, work, is_pointing=name == "pointer", pause=pause)
        wait_until_saved(page)
    return {
        name: {
            "pages": len(work.keys),
            "keys_and_clicks": max(work.keys),
            "milliseconds_median": round(median(work.drawn), 1),
            "milliseconds_95th": round(quantiles(work.drawn, n=20)[-1], 1),
            "own_milliseconds_median": round(median(work.own), 1),
            "own_milliseconds_95th": round(quantiles(work.own, n=20)[-1], 1),
        }
        for name, work in ways.items()
    }


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pages", type=int, default=3, help="pages each way; default %(default)s")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between keys; default %(default)s")
    parser.add_argument("--site", help="a site that runs already, with the password of admin")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        if arguments.site:
            site = read_site(arguments.site)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            demo = stack.enter_context(start_demo(Path(folder)))
            site = DemoSite(demo.address, demo.password)
        figures = measure(site, pages=arguments.pages, pause=arguments.pause)
    machine = describe_machine()
    if arguments.json:
        sys.stdout.write(json.dumps({"machine": machine, **figures}) + "\n")
        return 0
    for name, row in figures.items():
        sys.stdout.write(
            f"{name:<9} {row['keys_and_clicks']} keys and clicks a page; a picture {row['milliseconds_median']} ms, "
            f"95th percentile {row['milliseconds_95th']} ms, of the page's own {row['own_milliseconds_median']} and "
            f"{row['own_milliseconds_95th']} ms ({row['pages']} pages)\n"
        )
    sys.stdout.write("".join(f"{line}\n" for line in machine_lines(machine)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The demo, from an empty database to labelled pictures, with real worker processes."""

import os
import re
import signal
import urllib.request
from pathlib import Path

import pytest

from classifier.management.demo_summary import DemoSummary, list_summary_lines
from tests.classifier.management.lasting_demo import Outcome, Site, use
from tests.support.running_demo import RunningDemo

# The browser's tests, which come before these, look at the same demo; the last test here ends it.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]


def test_the_demo_labels_its_catalogue_mostly_right(running_demo: RunningDemo) -> None:
    first = running_demo.first
    assert re.search(r"sign in at /admin/ as admin with the password \S{12,}", first)
    assert "652 products created" in first
    assert re.search(r"Labelled now: 839 in .* images per second", first)
    sure, right = re.search(r"of (\d+) pictures it was sure of: (\d+)", first).groups()
    assert int(sure) > 650
    assert int(right) / int(sure) >= 0.97
    kept = re.search(r"by picture and texts: (\d+), by texts: (\d+); none of the groups: (\d+)", first)
    both, texts, none = kept.groups()
    assert int(both) > 60
    assert int(texts) + int(none) > 5


def test_a_second_run_does_nothing_twice_and_serves_the_site(running_demo: RunningDemo) -> None:
    second = running_demo.output.read_text()
    assert "password" not in second
    assert "0 products created, 0 changed, 652 unchanged" in second
    assert "Labelled now: nothing, every picture had its label" in second
    assert '"group":"Bags"' in read(f"{running_demo.address}/api/v1/products/?group=Bags")
    assert "/thumbnails/" in read(f"{running_demo.address}/")
    assert "<title>Log in | Fashion catalogue</title>" in read(f"{running_demo.address}/admin/")


def test_the_demo_left_alone_keeps_its_workers_and_finishes_its_runs(running_demo: RunningDemo) -> None:
    site, outcome = Site(running_demo.address), Outcome(minutes=0.005, busy=0)
    site.sign_in(running_demo.password)
    use(site, outcome, every=1, output=running_demo.output, pictures=5)
    assert outcome.is_clean(), outcome


def test_a_worker_that_dies_is_started_again_and_ctrl_c_ends_all(running_demo: RunningDemo) -> None:
    killed = find_worker(running_demo)
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    running_demo.wait_until(lambda: find_worker(running_demo) not in (None, killed))
    assert "The labelling worker was ended by SIGKILL after" in running_demo.output.read_text()
    started = running_demo.list_children()
    assert len(started) == 3
    assert running_demo.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)


def find_worker(demo: RunningDemo) -> int | None:
    """Return the labelling worker among the children of the demo."""
    lines = {child: Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0") for child in demo.list_children()}
    return next((child for child, line in lines.items() if b"labelling@%h" in line), None)


def read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read().decode()


def test_the_summary_says_what_was_done_now() -> None:
    labels = {
        "by_picture": 20,
        "by_both": 5,
        "by_texts": 2,
        "none_of_these": 1,
        "disagreements": 1,
        "unsure": 3,
        "without_image": 4,
    }
    summary = DemoSummary(groups={}, failed=2, labelled_now=30, seconds=1.5, sure=4, right=3, learnt=True, **labels)
    assert list_summary_lines(summary) == [
        "Failed: 2",
        "Products labelled by the picture: 20, by picture and texts: 5, by texts: 2; none of the groups: 1; "
        "title and picture disagree: 1; not sure: 3; without a picture: 4",
        "Labelled now: 30 in 1.5 s, 20 images per second",
        "Right group, of 4 pictures it was sure of: 3 (75.0%), which it may have learnt from",
    ]

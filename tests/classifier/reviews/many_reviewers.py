"""Many reviewers at once: ``python -m tests.classifier.reviews.many_reviewers``, or a line of ``make proof``.

Each works as the page's module does, with a session, leases and keys, or as a program does, with a token, over pictures
that others label too. The site is killed meanwhile, and started again. On PostgreSQL, or with ``--embedded`` on SQLite.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from tests.faults.own_database import running_alone
from tests.support.forks import Fork, fork

REPOSITORY = Path(__file__).resolve().parents[3]
GROUPS = ("Upper part", "Bottom part", "One piece", "Footwear", "Bags")
PATIENCE_SECONDS = 120.0
# What a call may say about reviews of pictures that others label too, of those that a reviewer saw last.
PROGRAM_SHARE, WITHDRAWAL_SHARE, STALE_SHARE = 0.3, 0.05, 0.3
HOST = "127.0.0.1"
# Of so many kills one takes Gunicorn itself too, which starts again; the others what answers calls.
WHOLE = 5


@dataclass
class Report:
    """What became of the reviews that the site said it had recorded.

    `lost` are not there as they were given, `doubled` are there and nobody was told of them, `overwritten` went over
    a label of another review that their reviewer had not seen. `wrong_labels` are not the newest review's that stands.
    """

    reviews: int
    reviewers: int
    seed: int
    database: str
    recorded: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    withdrawn: int = 0
    kills: int = 0
    repeated_calls: int = 0
    lost: int = 0
    doubled: int = 0
    overwritten: int = 0
    wrong_labels: int = 0
    failures: list[str] = field(default_factory=list)
    elapsed_seconds: float = 0.0

    def is_clean(self) -> bool:
        """Whether every review is there once, as it was given, and over none that its reviewer had not seen."""
        harm = self.lost, self.doubled, self.overwritten, self.wrong_labels
        return not any(harm) and not self.failures and self.recorded >= self.reviews


@dataclass(frozen=True)
class Given:
    """A review that the site said it had recorded."""

    image: int
    label: tuple[str, str]
    reviewer: str
    seen_review: int | None


class Site:
    """Gunicorn with two processes, which may be killed together, and starts again at the same port.

    It loads the product once and makes its processes of that, so that those that were killed are replaced at once.
    """

    def __init__(self, folder: Path, *, port: int, forks: bool) -> None:
        self.folder, self.port, self.forks = folder, port, forks
        # Beside the product's own, which checks the settings at each start.
        self.options = folder / "gunicorn.conf.py"
        self.options.write_text("control_socket_disable = preload_app = True\nworkers, threads = 2, 4\n")
        self.start()

    def start(self) -> None:
        """Start it, in a process group of its own."""
        bind = f"{HOST}:{self.port}"
        program = ("-m", "gunicorn", "config.wsgi", "--config", str(self.options), "--bind", bind)
        self.process: subprocess.Popen[bytes] | Fork
        if self.forks:
            self.process = fork(*program, output=self.folder / "site.log")
            return
        with (self.folder / "site.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *program], cwd=REPOSITORY, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, number: int = signal.SIGKILL) -> None:
        """End it and its processes, wherever they are."""
        os.killpg(self.process.pid, number)
        self.process.wait()

    def kill_processes(self) -> None:
        """Kill what answers calls, wherever it is; new processes take its place."""
        for process in psutil.Process(self.process.pid).children():
            process.kill()


class Reviewer:
    """A person or a program that labels until enough is recorded, and notes what the site said."""

    def __init__(self, trial: "Trial", *, name: str, headers: dict[str, str], seed: int) -> None:
        self.trial, self.name, self.headers = trial, name, headers
        self.random = random.Random(seed)
        self.seen: dict[int, int | None] = {}
        self.own: list[int] = []

    def work(self) -> None:
        """Label until enough is recorded; what fails is in the report."""
        try:
            while not self.trial.is_done():
                if self.own and self.random.random() < WITHDRAWAL_SHARE:
                    self.withdraw()
                elif self.random.random() < PROGRAM_SHARE:
                    self.review_anything()
                else:
                    self.review_a_page()
        except Exception as error:  # the trial ends with it
            self.trial.report.failures.append(f"{self.name}: {type(error).__name__}: {error}")

    def review_a_page(self) -> None:
        """Borrow tiles, and label them one by one or together."""
        batch = self.call("POST", "review-batches/", {"queue": "unsure", "size": 24})[1]
        if not batch["tiles"]:
            self.review_anything()
            return
        given = [
            {"image": tile["image"], "appearance": tile["appearance"], "batch": batch["id"]}
            | {"seen_review": tile["seen_review"], **self.choose_label()}
            for tile in batch["tiles"]
        ]
        if self.random.random() < 0.5:
            self.send(given)
        else:
            for review in given:
                self.send([review])

    def review_anything(self) -> None:
        """Label pictures that others label too, having seen what stood when they were looked at last."""
        given = []
        for image in self.random.sample(self.trial.images, k=min(8, len(self.trial.images))):
            if self.random.random() > STALE_SHARE:
                rows = self.call("GET", f"reviews/?image={image}&withdrawn=false&page_size=1")[1]["results"]
                self.seen[image] = rows[0]["id"] if rows else None
            given.append({"image": image, "seen_review": self.seen.get(image), **self.choose_label()})
        self.send(given)

    def withdraw(self) -> None:
        """Take one of the own reviews back."""
        review = self.own.pop(self.random.randrange(len(self.own)))
        status, _ = self.call("POST", f"reviews/{review}/withdraw/", {})
        assert status == 200, status
        with self.trial.lock:
            self.trial.report.withdrawn += 1

    def choose_label(self) -> dict[str, str]:
        """Return any label."""
        draw = self.random.randrange(7)
        if draw < len(GROUPS):
            return {"group": GROUPS[draw]}
        return {"verdict": ("none_of_these", "unusable")[draw - len(GROUPS)]}

    def send(self, given: list[dict[str, Any]]) -> None:
        """Send the reviews with a key of their own, until they are answered, and note what the site says of each."""
        status, answer = self.call("POST", "reviews/", given, key=f"{self.random.getrandbits(64):x}")
        assert status == 200, (status, answer)
        for review, result in zip(given, answer["results"], strict=True):
            if result["outcome"] == "recorded":
                label = (review.get("verdict", "group"), review.get("group", ""))
                self.own.append(result["review"]["id"])
                self.trial.note(result["review"]["id"], Given(review["image"], label, self.name, review["seen_review"]))
            else:
                assert result["outcome"] in ("conflict", "lease_lost"), result
                self.trial.refuse(result["outcome"])

    def call(self, method: str, path: str, data: Any = None, *, key: str = "") -> tuple[int, Any]:
        """Call the API until it answers, whatever is killed meanwhile; return the status and the JSON."""
        headers = {"Content-Type": "application/json", "Host": "localhost", **self.headers}
        headers |= {"Idempotency-Key": key} if key else {}
        body = None if data is None else json.dumps(data)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            connection = http.client.HTTPConnection(HOST, self.trial.port, timeout=60)
            try:
                connection.request(method, f"/api/v1/{path}", body=body, headers=headers)
                response = connection.getresponse()
                status, text = response.status, response.read()
                if status < 500 and status != 429:
                    return status, json.loads(text)
            except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
                status, text = 0, repr(error).encode()
            finally:
                connection.close()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: {status} {text[:200]!r}")
            with self.trial.lock:
                self.trial.report.repeated_calls += 1
            time.sleep(0.2)


class Trial:
    """The reviewers, the site that they work on, and what it told them."""

    def __init__(self, report: Report, *, port: int, images: list[int]) -> None:
        self.report, self.port, self.images = report, port, images
        self.lock = threading.Lock()
        self.given: dict[int, Given] = {}

    def is_done(self) -> bool:
        """Return whether enough is recorded, or somebody failed."""
        return self.report.recorded >= self.report.reviews or bool(self.report.failures)

    def note(self, review: int, given: Given) -> None:
        """Note a review that the site said it had recorded."""
        with self.lock:
            self.given[review] = given
            self.report.recorded += 1

    def refuse(self, outcome: str) -> None:
        """Count a review that was not recorded."""
        with self.lock:
            self.report.refused[outcome] = self.report.refused.get(outcome, 0) + 1

    def judge(self) -> None:
        """Compare what the database has with what the site said."""
        from catalog.models import ProductLabel
        from classifier.models import Review

        rows = Review.objects.order_by("pk").values_list(
            "pk", "image_id", "verdict", "group", "reviewer__username", "withdrawn_at"
        )
        found = {pk: (Given(image, (verdict, group), name, None), at) for pk, image, verdict, group, name, at in rows}
        self.report.doubled = len(found.keys() - self.given.keys())
        self.report.lost = len(self.given.keys() - found.keys())
        # What may have stood when the next review came: the newest that stands, and those after it, withdrawn since.
        recent: dict[int, list[tuple[int, tuple[str, str]]]] = {}
        standing: dict[int, int] = {}
        for pk, (stored, withdrawn_at) in found.items():
            given = self.given.get(pk, stored)
            self.report.lost += replace(given, seen_review=None) != stored
            before = recent.setdefault(stored.image, [])
            unseen = [label for number, label in before if number != given.seen_review]
            if stored.image in standing and len(unseen) == len(before) and stored.label not in unseen:
                self.report.overwritten += 1
            if withdrawn_at is None:
                before.clear()
                standing[stored.image] = pk
            before.append((pk, stored.label))
        labels = ProductLabel.objects.exclude(source="").values_list("image_id", "review_id")
        decided = dict(labels.filter(review__isnull=False))
        self.report.wrong_labels = sum(
            decided.get(image) != standing.get(image) for image in standing.keys() | decided.keys()
        )


def create_catalogue(number: int) -> list[int]:
    """Create so many products whose label is not sure, each with a picture; return the ids of their images."""
    from django.db import transaction
    from django.utils import timezone

    from catalog.labels import refresh_labels
    from catalog.models import Image, Product, ProductImages, StoredPicture
    from classifier.ml.labels import GARMENTS
    from classifier.models import Base, Classification, LabellingRun, ModelVersion

    now = timezone.now()
    version = ModelVersion.objects.create(
        name="none", folder="none", manifest_sha256="0" * 64, recipe="none", seed=0, stage="production",
        base=Base.objects.create(digest=bytes(32), name="none"), activated_at=now, first_activated_at=now,
    )  # fmt: skip
    run = LabellingRun.objects.create(model_version=version, state="done")
    products = Product.objects.bulk_create([Product(title=f"Product {place}") for place in range(number)])
    images = Image.objects.bulk_create([Image(url=f"https://shop.example/{place}.jpg") for place in range(number)])
    ProductImages.objects.bulk_create(
        [
            ProductImages(product=product, image=image, image_index=0)
            for product, image in zip(products, images, strict=True)
        ]
    )
    hashes = [f"{place:064x}" for place in range(number)]
    StoredPicture.objects.bulk_create(
        [
            StoredPicture(
                image=image, url=image.url, sha256=sha256, storage_name=sha256, width=64, height=64, fetched_at=now
            )
            for image, sha256 in zip(images, hashes, strict=True)
        ]
    )
    Classification.objects.bulk_create(
        [
            Classification(
                image=image, model_version=version, run=run, sha256=sha256, group="Bags", garment="Bag",
                confidence=0.2 + 0.4 * place / number, abstained=True, garment_probabilities=[0.1] * len(GARMENTS),
            )
            for place, (image, sha256) in enumerate(zip(images, hashes, strict=True))
        ]
    )  # fmt: skip
    for first in range(0, number, 1000):
        with transaction.atomic():
            refresh_labels([product.pk for product in products[first : first + 1000]])
    return [image.pk for image in images]


def create_reviewers(trial: Trial, *, seed: int) -> list[Reviewer]:
    """Create the people: one half comes with a session and the CSRF token, the other with a token."""
    from django.contrib.auth.models import Permission
    from django.test import Client

    from tests.support.members import build_token_header, create_member

    reviewers = []
    for number in range(trial.report.reviewers):
        member = create_member("add_review", "view_review")
        assert Permission.objects.filter(user=member).count() == 2
        headers = build_token_header(member)
        if number % 2:
            client, token = Client(), "c" * 32
            client.force_login(member)
            cookies = f"sessionid={client.cookies['sessionid'].value}; csrftoken={token}"
            headers = {"Cookie": cookies, "X-CSRFToken": token}
        reviewers.append(Reviewer(trial, name=member.username, headers=headers, seed=seed + number))
    return reviewers


def run_trial(report: Report, *, kills: int, folder: Path, forks: bool) -> None:
    """Let the reviewers work, kill the site on the way, and write into the report what became of it."""
    from tests.support.ports import find_port

    # As many pictures as reviews: the queue lasts, and programs meet the others on what these labelled.
    trial = Trial(report, port=find_port(), images=create_catalogue(report.reviews))
    reviewers, draw = create_reviewers(trial, seed=report.seed), random.Random(report.seed)
    started, site = time.monotonic(), Site(folder, port=trial.port, forks=forks)
    threads = [threading.Thread(target=reviewer.work) for reviewer in reviewers]
    for thread in threads:
        thread.start()
    due = sorted(draw.randrange(report.reviews // 20, report.reviews) for _ in range(kills))
    while any(thread.is_alive() for thread in threads):
        if due and report.recorded >= due[0] and not trial.is_done():
            due.pop(0)
            if report.kills % WHOLE == 0:
                site.kill()
                site.start()
            else:
                site.kill_processes()
            report.kills += 1
        time.sleep(0.02)
    site.kill(signal.SIGTERM)
    trial.judge()
    report.elapsed_seconds = round(time.monotonic() - started, 1)


def main() -> int:
    """Let people review at once while the site is killed, print the report, return 1 if a review was harmed."""
    parser = argparse.ArgumentParser(prog="python -m tests.classifier.reviews.many_reviewers", description=main.__doc__)
    parser.add_argument("--reviews", type=int, default=20_000, help="reviews to be recorded (%(default)s)")
    parser.add_argument("--reviewers", type=int, default=8, help="people and programs at once (%(default)s)")
    parser.add_argument("--kills", type=int, default=40, help="times that the site is killed (%(default)s)")
    parser.add_argument("--embedded", action="store_true", help="on SQLite instead of PostgreSQL")
    parser.add_argument("--forks", action="store_true", help="start the site as a fork, which is faster")
    parser.add_argument("--seed", type=int, default=1, help="of every choice (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document")
    arguments = parser.parse_args()
    with running_alone("reviewers", embedded=arguments.embedded) as folder:
        report = Report(
            arguments.reviews, arguments.reviewers, arguments.seed, "SQLite" if arguments.embedded else "PostgreSQL"
        )
        run_trial(report, kills=arguments.kills, folder=folder, forks=arguments.forks)
    lines = "\n".join(f"{name.replace('_', ' '):18} {value}" for name, value in asdict(report).items())
    sys.stdout.write(f"{json.dumps(asdict(report)) if arguments.json else lines}\n")
    return 0 if report.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())

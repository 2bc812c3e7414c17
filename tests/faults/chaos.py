"""One labelling run under fire: workers killed at random moments, broker, database and store lost, images deleted.

The test suite runs it with 2,000 pictures, `make chaos` with 100,000. `ChaosRun` is the product; `LedgerlessRun` labels
straight from the messages under the same kills, to show that they do harm where no ledger stands against them.
"""

import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

import redis
from celery import Celery
from django.conf import settings
from django.contrib.auth.models import User
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Count
from PIL import Image as PillowImage

from catalog.models import Image, Product, ProductImages, ProductLabel
from classifier.labelling.starting import start_labelling_run
from classifier.labels.walk import refresh_all_labels
from classifier.ml.labels import GROUPS
from classifier.models import Classification, LabellingRun, LabelTask, Review
from classifier.reviews.services import record_review
from tests.faults.scenes import create_faulty_store
from tests.faults.workers import Crew, Worker, list_held_by, wait_until
from tests.support.fakes import create_model_version
from tests.support.faulty_store import FAULTS
from tests.support.servers import Server

WORKERS = 2
POLL_SECONDS = 0.1
OPEN_STATES = ["new", "running"]
# Files with the same content are links to one of these; a file system allows 65,000 links to a file.
DIFFERENT_PICTURES = 64
CHUNK_SIZE = 5000


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """How many pictures are labelled, what is done meanwhile, and the seed of every choice.

    `deletions` are images that are deleted while a worker has them. The store fails once in each of its ways, for
    `store_away_seconds`.
    """

    labels: int
    kills: int
    reviews: int = 100
    deletions: int = 10
    store_away_seconds: float = 1.0
    seed: int = 1
    patience_seconds: float = 170.0


@dataclass
class ChaosReport:
    """What became of the labels: `lost` have none, `doubled` have two, `overwritten` show another than a person's.

    `blamed` pictures have failed: there is no bad one, so that a kill, a store, a broker, a database or a neighbour did
    it. `recovery_p99_seconds` is from a kill to the end of the last task that the dead process had in
    hand.
    """

    labels: int
    kills: int = 0
    faults: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    reviews: int = 0
    overwritten: int = 0
    deleted: int = 0
    blamed: int = 0
    kills_with_work_in_hand: int = 0
    recovery_p50_seconds: float = 0.0
    recovery_p99_seconds: float = 0.0
    recovery_longest_seconds: float = 0.0
    elapsed_seconds: float = 0.0
    finished: bool = False

    def is_clean(self) -> bool:
        """Whether the run ended with every label, once, and every person's, and nobody was blamed."""
        return self.finished and self.lost == self.doubled == self.overwritten == self.blamed == 0

    def to_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        return asdict(self)

    def to_text(self) -> str:
        """Return the report as a table."""
        return "\n".join(f"{name.replace('_', ' '):28} {value}" for name, value in asdict(self).items())


@dataclass
class _Kill:
    """A kill whose victim's tasks are not all done yet."""

    at: float
    task_ids: list[int]


class ChaosRun:
    """Labels `plan.labels` pictures of the database while it does harm to the crew, the broker and the database."""

    def __init__(self, plan: ChaosPlan, *, crew: Crew, broker: Server, database: Server | None) -> None:
        self.plan = plan
        self.crew = crew
        self.broker = broker
        self.database = database
        self.random = random.Random(plan.seed)
        self.faults, self.options = create_faulty_store(crew.folder)
        self.report = ChaosReport(labels=plan.labels)
        # Which of the different pictures each review was given for, in the order in which they were given.
        self.reviewed: dict[int, int] = {}
        self.open_kills: list[_Kill] = []
        self.recoveries: list[float] = []

    def execute(self) -> ChaosReport:
        """Start the run, do the harm, wait for the run's end, and return what became of the labels."""
        allow_doubles()
        run = self.start_run()
        workers = [self.start_worker() for _ in range(WORKERS)]
        events = sorted(self.plan_events(workers), key=lambda event: event[0])
        started = time.monotonic()
        while time.monotonic() - started < self.plan.patience_seconds:
            # Asked first: what ends while harm is done is looked at once more, so that no event is left out.
            is_over = self.is_over(run)
            done = self.plan.labels - self.count_open(run)
            while events and events[0][0] <= done:
                events.pop(0)[1]()
            self._watch_recovery()
            if is_over and not self.open_kills:
                self.report.finished = True
                break
            time.sleep(POLL_SECONDS)
        self.report.elapsed_seconds = round(time.monotonic() - started, 1)
        self._judge(run)
        return self.report

    def start_run(self) -> LabellingRun:
        """Start the run over every picture."""
        return start_labelling_run()

    def start_worker(self) -> Worker:
        """Start a worker whose pictures lie in a store that fails now and then."""
        return self.crew.start(**self.options)

    def count_open(self, run: LabellingRun) -> int:
        """Return how many pictures are not done, those that the run has not taken yet included."""
        return self.plan.labels - LabelTask.objects.filter(run=run).exclude(state__in=OPEN_STATES).count()

    def is_over(self, run: LabellingRun) -> bool:
        """Whether the run has ended."""
        return LabellingRun.objects.get(pk=run.pk).state == LabellingRun.State.DONE

    def plan_events(self, workers: list[Worker]) -> list[tuple[float, Callable[[], None]]]:
        """Return (pictures done, what happens then); nothing happens after 95 %, so that all of it matters."""
        last = 0.95 * self.plan.labels
        reviewer = User.objects.create_user("reviewer")
        image_ids = list(Image.objects.order_by("pk").values_list("pk", flat=True))
        events = self.plan_kills(workers)
        events += [
            (self.random.uniform(0, last), lambda: self._review(self.random.choice(image_ids), reviewer))
            for _ in range(self.plan.reviews)
        ]
        events += [(self.random.uniform(0, last), self._delete_held_image) for _ in range(self.plan.deletions)]
        events += [(self.random.uniform(0, last), partial(self._break_store, fault)) for fault in FAULTS]
        events += [(0.25 * last, self._kill_broker), (0.5 * last, self._flush_broker)]
        if self.database is not None:
            events.append((0.75 * last, self._restart_database))
        return events

    def plan_kills(self, workers: list[Worker]) -> list[tuple[float, Callable[[], None]]]:
        """Return (pictures done, the kill of one of the workers) for each kill of the plan."""
        last = 0.95 * self.plan.labels
        return [(self.random.uniform(0, last), lambda: self._kill_somebody(workers)) for _ in range(self.plan.kills)]

    def _kill_somebody(self, workers: list[Worker]) -> None:
        """Kill a worker, or only its child, after a moment that nobody chose; start another in its place."""
        position = self.random.randrange(len(workers))
        time.sleep(self.random.uniform(0, 0.1))
        if self.random.random() < 0.5:
            # A quick worker has nothing in hand most of the time.
            self.wait_for_work(workers[position])
        at = time.monotonic()
        if self.random.random() < 0.5:
            victims = workers[position].kill()
            workers[position] = self.start_worker()
        else:
            child = workers[position].kill_child()
            if child is None:  # it is being started just now; its worker will do
                workers[position].kill()
                workers[position] = self.start_worker()
            victims = [child] if child is not None else []
        self.report.kills += 1
        held = [pk for pid in victims for pk in list_held_by(pid).values_list("pk", flat=True)]
        if held:
            self.report.kills_with_work_in_hand += 1
            self.open_kills.append(_Kill(at=at, task_ids=held))

    def wait_for_work(self, worker: Worker) -> None:
        """Wait until the worker has work in hand, for a second at most."""
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            if any(list_held_by(pid).exists() for pid in (worker.pid, *worker.children())):
                return
            time.sleep(0.005)

    def _watch_recovery(self) -> None:
        """Note how long after their kills tasks were done."""
        for kill in list(self.open_kills):
            if not LabelTask.objects.filter(pk__in=kill.task_ids, state__in=OPEN_STATES).exists():
                self.recoveries.append(time.monotonic() - kill.at)
                self.open_kills.remove(kill)

    def _review(self, image_id: int, reviewer: User) -> None:
        group = self.random.choice(GROUPS)
        image = Image.objects.filter(pk=image_id).first()
        if image is None:  # deleted on the way
            return
        self.reviewed[record_review(image, group=group, reviewer=reviewer).pk] = get_kind(image.url)
        self.report.reviews += 1

    def _delete_held_image(self) -> None:
        """Delete an image that a worker has in hand, with its product; its task, and its label, go with it."""
        held = LabelTask.objects.filter(state=LabelTask.State.RUNNING).select_related("image").order_by("?").first()
        if held is not None:
            # The worker may finish it just now: the database lets one of the two go first, or refuses the deletion. An
            # image that stayed without its product would keep a review that never comes to be one of its look.
            with suppress(IntegrityError, OperationalError), transaction.atomic():
                Product.objects.filter(product_images__image=held.image).delete()
                held.image.delete()
                self.report.deleted += 1

    def _break_store(self, fault: str) -> None:
        self.report.faults.append(f"store: {fault}")
        # What the store holds up does not say how long a kill does.
        self.open_kills.clear()
        self.faults.set(fault)
        time.sleep(self.plan.store_away_seconds)
        self.faults.clear()

    def _kill_broker(self) -> None:
        self.report.faults.append("broker killed and started again")
        self.broker.kill(signal.SIGKILL)
        self.broker.start()

    def _flush_broker(self) -> None:
        self.report.faults.append("broker flushed")
        redis.Redis.from_url(self.broker.url).flushall()

    def _restart_database(self) -> None:
        assert self.database is not None
        self.report.faults.append("database stopped at once and started again")
        self.database.kill(signal.SIGQUIT)
        self.database.start()
        connection.close()  # our own, which died with the server

    def _judge(self, run: LabellingRun) -> None:
        """Count what is wrong, and what took how long."""
        report = self.report
        # One that was met just when the store came back waits for a try of its own.
        wait_until(lambda: not run.tasks.filter(state=LabelTask.State.RETRY).exists(), what="no more tries")
        report.blamed = run.tasks.errors().count()
        report.lost, report.doubled = count_lost_and_doubled(run)
        # A review of a picture that was not held yet reaches the others with its look by the workers' walk.
        refresh_all_labels()
        # One that was given before bytes were held is one of this image alone, and goes with it.
        standing = Review.objects.exclude(image=None, appearance="").order_by("pk").values_list("pk", "group")
        said_last = {self.reviewed[pk]: group for pk, group in standing}
        labels = ProductLabel.objects.exclude(image=None).values_list("image__url", "group", "source")
        shown = [(said_last.get(get_kind(url)), group, source) for url, group, source in labels]
        report.overwritten = sum(
            said is not None and (group, source) != (said, "person") for said, group, source in shown
        )
        times = sorted(self.recoveries)
        if times:
            report.recovery_p50_seconds = round(times[len(times) // 2], 1)
            report.recovery_p99_seconds = round(times[min(len(times) - 1, int(0.99 * len(times)))], 1)
            report.recovery_longest_seconds = round(times[-1], 1)


class LedgerlessRun(ChaosRun):
    """The same kills with late acknowledgement and redelivery alone: every message is sent once, in the beginning."""

    def start_run(self) -> LabellingRun:
        """Send the ids of every picture."""
        version = create_model_version(stage="retired")
        run = LabellingRun.objects.create(model_version=version)
        ids = list(Image.objects.order_by("pk").values_list("pk", flat=True))
        size = settings.LABELLING_BATCH_SIZE
        with Celery("sender", broker=self.broker.url, set_as_current=False) as app:
            for start in range(0, len(ids), size):
                app.send_task(
                    "tests.faults.label_without_ledger",
                    args=[ids[start : start + size]],
                    kwargs={"run_id": run.pk, "model_version_id": version.pk},
                    queue="labelling",
                )
        return run

    def start_worker(self) -> Worker:
        """Start a worker whose work outlasts the kills of others, and for which Redis delivers again after a moment."""
        options = {"visibility_timeout": 3}
        return self.crew.start(environ={"FAULT_WORK_SECONDS": "0.02"}, broker_options=options)

    def wait_for_work(self, worker: Worker) -> None:
        """Wait for nothing: who has what in hand stands nowhere."""

    def plan_events(self, workers: list[Worker]) -> list[tuple[float, Callable[[], None]]]:
        """Return the kills alone."""
        return self.plan_kills(workers)

    def count_open(self, run: LabellingRun) -> int:
        """Return how many pictures have no label."""
        return count_lost_and_doubled(run)[0]

    def is_over(self, run: LabellingRun) -> bool:
        """Whether no message waits and none is held by a worker, dead or alive."""
        broker = redis.Redis.from_url(self.broker.url)
        return broker.llen("labelling") == 0 and broker.zcard("unacked_index") == 0


def get_kind(url: str) -> int:
    """Return which of the different pictures an image of `create_pictures` shows."""
    return int(Path(url).stem) % DIFFERENT_PICTURES


def create_pictures(number: int) -> None:
    """Create products with one small picture each, in media storage, and the active version that labels them."""
    create_model_version()
    folder = Path(settings.MEDIA_ROOT) / "chaos"
    folder.mkdir(parents=True)
    for kind in range(DIFFERENT_PICTURES):
        buffer = BytesIO()
        PillowImage.new("RGB", (32, 32), (10 + 20 * (kind % 10), 0, kind)).save(buffer, "PNG")
        (folder / f"kind-{kind}.png").write_bytes(buffer.getvalue())
    for start in range(0, number, CHUNK_SIZE):
        numbers = range(start, min(number, start + CHUNK_SIZE))
        for index in numbers:
            (folder / f"{index}.png").hardlink_to(folder / f"kind-{index % DIFFERENT_PICTURES}.png")
        images = Image.objects.bulk_create([Image(url=f"chaos/{index}.png") for index in numbers])
        products = Product.objects.bulk_create([Product(title=f"Product {index}") for index in numbers])
        ProductImages.objects.bulk_create(
            ProductImages(product=product, image=image, image_index=0)
            for product, image in zip(products, images, strict=True)
        )


def allow_doubles() -> None:
    """Drop the constraint that would hide a second label for one run and image; the ledger alone has to prevent it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "ALTER TABLE classifier_classification DROP CONSTRAINT IF EXISTS classification_run_image_unique"
        )


def count_lost_and_doubled(run: LabellingRun) -> tuple[int, int]:
    """Return how many pictures have no label of the run, and how many have more than one."""
    labelled = Classification.objects.filter(run=run).order_by()
    doubled = labelled.values("image").annotate(number=Count("pk")).filter(number__gt=1).count()
    return Image.objects.count() - labelled.values("image").distinct().count(), doubled

"""Messages from many processes at once: ``python -m tests.config.messages``, or a line of ``make proof``.

Processes send numbers, real workers write down which they got, and messages that nobody can read lie between them. On
the broker of files, or with ``--redis URL`` on that server, whose database is emptied.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import redis

QUEUE = "labelling"
TASK = "tests.config.messages.write_down"
# What waits at most: so few that messages are taken while they are being written.
MOST_WAITING = 8
PATIENCE_SECONDS = 120.0
# What a task that takes one number may be sent instead: arguments by place, by name, and the rest of a message's body.
WRONG_ARGUMENTS: list[Any] = [
    [[], {}, {}],
    [[1, 2], {}, {}],
    [[1], {"nobody_knows_this": 2}, {}],
    [[1], {"number": 1}, {}],
    [["1"], {}, {}],
    [[[1]], {}, {}],
    [[None], {}, {}],
    [[True], {}, {}],
    [[10**30], {}, {}],
    [[-1], {}, {}],
    [1, {}, {}],
    [[1], [], {}],
    [[1], {}],
    {"args": [1], "kwargs": {}},
]
# Many in hand: else a worker would look at its queue when it has done the one before, as between batches of pictures.
WORKER = ["worker", "-Q", QUEUE, "-c", "1", "--prefetch-multiplier=64", "--loglevel=WARNING"]


@dataclass(frozen=True)
class Outcome:
    """What became of the messages; `refused` counts lines in the workers' logs."""

    messages: int
    processes: int
    workers: int
    seed: int
    lost: int
    doubled: int
    unreadable: int
    refused: int
    workers_ended: int
    elapsed_seconds: float

    def is_clean(self) -> bool:
        """Whether every message came once, no other came, and every worker lives."""
        return (self.lost, self.doubled, self.workers_ended, self.refused) == (0, 0, 0, self.unreadable)


def list_unreadable() -> list[bytes]:
    """Return messages as they lie at the broker, none of which is a task that a worker knows."""
    whole: dict[str, Any] = {
        "body": "W1sxXSwge30sIHt9XQ==",
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": TASK, "id": "1"},
        "properties": {
            "delivery_tag": "1",
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
        },
    }

    def change(**changed: Any) -> bytes:
        parts = {name.replace("_", "-"): value for name, value in changed.items()}
        return json.dumps(whole | parts).encode()

    def change_headers(**headers: Any) -> bytes:
        return change(headers=whole["headers"] | headers)

    def change_properties(**properties: Any) -> bytes:
        return change(properties=whole["properties"] | properties)

    return [
        *(
            b"",
            b"{",
            b"null",
            b"[]",
            b"7",
            b"\xff\xfe",
            b"[" * 100_000,
            b'{"body": ""}',
            json.dumps(whole).encode()[:-9],
        ),
        b'{"__type__": "datetime", "__value__": 3}',
        *(change(properties=value) for value in (None, [], {})),
        *(change_properties(delivery_tag=value) for value in (None, 7, [], {})),
        *(change_properties(body_encoding=value) for value in ("rot13", 7)),
        *(change(body=value) for value in (7, "%%%", "e30=", "bm9uc2Vuc2U=", None)),
        *(change(body=b64encode(json.dumps(value).encode()).decode()) for value in WRONG_ARGUMENTS),
        *(change(content_type=value) for value in ("application/x-python-serialize", "text/nonsense", 7)),
        *(change(headers=value) for value in (None, [], 7, {}, {"task": None}, {"task": []}, {"id": "1"})),
        change(headers={"task": TASK}),
        change_headers(task="tests.nobody_knows_this"),
        *(change_headers(eta=value) for value in ("soon", 7, [])),
        *(change_headers(expires=value) for value in ("soon", [])),
        change_headers(compression="rar"),
    ]


def put_unreadable(content: bytes, *, name: str, folder: Path, redis_url: str) -> None:
    """Lay a message on the queue as another program might."""
    if redis_url:
        redis.Redis.from_url(redis_url).lpush(QUEUE, content)
        return
    (folder / f".{name}").write_bytes(content)
    (folder / f".{name}").rename(folder / f"{time.time_ns()}_{name}.{QUEUE}.msg")


def wait_until(
    condition: Callable[[], bool], *, what: str, progress: Callable[[], int] = lambda: 0, pause_seconds: float = 0.002
) -> None:
    """Wait for the condition, and give up when there was no progress for two minutes."""
    seen, until = progress(), time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if (now := progress()) != seen:
            seen, until = now, time.monotonic() + PATIENCE_SECONDS
        if time.monotonic() > until:
            sys.stderr.write(f"expected {what} within {PATIENCE_SECONDS:.0f} s\n")
            return
        time.sleep(pause_seconds)


def read_numbers(folder: Path) -> Iterator[int]:
    """Give every number that a worker wrote down."""
    for path in folder.glob("*.got"):
        yield from map(int, path.read_text().split())


def exchange(
    folder: Path, *, count: int, processes: int, workers: int, unreadable: int, seed: int, redis_url: str = ""
) -> Outcome:
    """Send `count` messages from so many processes to so many workers, and return what became of them.

    To be called once in a process that has loaded nothing of the product yet: the processes are copies of it.
    """
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "config.settings.base",
        "VAR_DIR": str(folder),
        "DATABASE_URL": "",
        "REDIS_URL": redis_url,
    }
    import django

    django.setup()
    from config.celery import app
    from config.queues import count_messages

    # This worker has no database, and nothing to do but this; it hardly waits before it looks at an empty queue again.
    app.steps["worker"].clear()
    app.conf.broker_transport_options |= {"polling_interval": 0.001}

    @app.task(name=TASK)
    def write_down(number: int) -> None:
        with (folder / f"{os.getpid()}.got").open("a") as file:
            file.write(f"{number}\n")

    def send(first: int, end: int, *, seed: int, unreadable: int) -> None:
        choose = random.Random(seed)
        # All kinds one after the other, each sender beginning elsewhere.
        kinds = list_unreadable()
        kind = itertools.cycle(kinds[seed % len(kinds) :] + kinds[: seed % len(kinds)])
        places = Counter(choose.randrange(first, end) for _ in range(unreadable))
        messages = folder / "broker/messages"
        for number in range(first, end):
            wait_until(lambda: count_messages(QUEUE) < MOST_WAITING, what="room on the queue")
            for copy in range(places[number]):
                name = f"unreadable-{number}-{copy}"
                put_unreadable(next(kind), name=name, folder=messages, redis_url=redis_url)
            write_down.apply_async((number,), queue=QUEUE)

    def work(log: Path) -> None:
        os.setsid()
        with log.open("wb") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        app.worker_main([*WORKER, "-n", f"{log.stem}@test"])

    def start(target: Callable[..., None], *arguments: Any, **options: Any) -> multiprocessing.Process:
        process: Any = multiprocessing.get_context("fork").Process(target=target, args=arguments, kwargs=options)
        process.start()
        return process

    started = time.monotonic()
    logs = [folder / f"worker-{number}.log" for number in range(workers)]
    crew = [start(work, log) for log in logs]
    bounds = [round(count * number / processes) for number in range(processes + 1)]
    shares = [round(unreadable * number / processes) for number in range(processes + 1)]
    senders = [
        start(send, first, end, seed=seed + number, unreadable=shares[number + 1] - shares[number])
        for number, (first, end) in enumerate(itertools.pairwise(bounds))
    ]

    def has_come() -> bool:
        if not any(worker.is_alive() for worker in crew):
            return True
        has_sent = not any(sender.is_alive() for sender in senders)
        return has_sent and len(set(read_numbers(folder))) == count and count_refused(logs) >= unreadable

    def count_got() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.got"))

    wait_until(has_come, what="every message to come", progress=count_got, pause_seconds=0.1)
    elapsed = time.monotonic() - started
    ended = sum(not worker.is_alive() for worker in crew)
    for process in (*senders, *crew):
        process.terminate()
    for process in (*senders, *crew):
        process.join()
    got = Counter(read_numbers(folder))
    return Outcome(
        messages=count,
        processes=processes,
        workers=workers,
        seed=seed,
        lost=count - len(got),
        doubled=sum(number > 1 for number in got.values()),
        unreadable=unreadable,
        refused=count_refused(logs),
        workers_ended=ended,
        elapsed_seconds=round(elapsed, 1),
    )


def count_refused(logs: list[Path]) -> int:
    """Return how many messages the workers refused, by the lines in their logs."""
    return sum(log.read_text().count("cannot be read and is refused") for log in logs)


def main() -> int:
    """Send them, print what became of them, and return 1 if one was lost or doubled or a worker ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.config.messages", description=main.__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="messages (%(default)s)")
    parser.add_argument("--processes", type=int, default=4, help="that send them (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="that take them (%(default)s)")
    parser.add_argument("--unreadable", type=int, default=200, help="messages of no sense between them (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of where those lie (%(default)s)")
    parser.add_argument("--redis", default="", metavar="URL", help="a server to use instead of files")
    parser.add_argument("--json", action="store_true", help="print the outcome as one JSON document")
    arguments = parser.parse_args()
    if arguments.redis:
        redis.Redis.from_url(arguments.redis).flushdb()
    folder = Path(tempfile.mkdtemp(prefix="messages-"))
    try:
        outcome = exchange(
            folder,
            count=arguments.count,
            processes=arguments.processes,
            workers=arguments.workers,
            unreadable=arguments.unreadable,
            seed=arguments.seed,
            redis_url=arguments.redis,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(asdict(outcome)) if arguments.json else f"{outcome}")
    sys.stdout.write("\n")
    return 0 if outcome.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())

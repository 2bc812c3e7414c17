"""What whoever keeps the site running is told: work that waits, queues, hosts, disks, the broker."""

import shutil
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.files.storage import FileSystemStorage, default_storage
from django.db import connection
from django.db.models.functions import Now
from kombu.exceptions import KombuError
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from redis.exceptions import RedisError

from catalog.fetching.shared_host_limits import count_resting_hosts
from classifier.models import LabelTask
from classifier.monitoring.health import OK, check_broker
from config import VERSION
from config.queues import broker_errors, count_messages

#: Where counting ends: so many need all workers that there are, and a scrape takes as long whatever waits.
MOST_TASKS: Final = 100_000


def collect_operation() -> Iterator[Any]:
    """Yield the families of numbers; two queries, and three questions to the broker."""
    yield InfoMetricFamily("catalogue", "The product.", value={"version": VERSION})
    yield from _collect_work()
    yield from _collect_broker()
    yield from _collect_disks()


def _collect_work() -> Iterator[Any]:
    open_tasks = LabelTask.objects.filter(state__in=["new", "running", "retry"]).order_by()
    number = open_tasks.values("pk")[: MOST_TASKS + 1].count()
    yield GaugeMetricFamily(
        "catalogue_open_tasks",
        f"Pictures that workers have in hand or are to label; counted up to {MOST_TASKS}.",
        value=min(number, MOST_TASKS),
    )
    # Those of cancelled runs are closed within a moment, and cost a subquery.
    due = LabelTask.objects.filter(state__in=["new", "retry"], next_try_at__lte=Now())
    first = due.order_by("next_try_at").annotate(now=Now()).values_list("next_try_at", "now").first()
    yield GaugeMetricFamily(
        "catalogue_oldest_due_seconds",
        "For how long the first picture that is due waits for a worker.",
        value=max((first[1] - first[0]).total_seconds(), 0) if first else 0,
    )


def _collect_broker() -> Iterator[Any]:
    is_up, messages, hosts = _ask_broker()
    yield GaugeMetricFamily("catalogue_broker_up", "1 while the broker takes writes.", value=int(is_up))
    queues = GaugeMetricFamily("catalogue_queue_messages", "Messages that no worker has taken up.", labels=["queue"])
    for queue, number in messages.items():
        queues.add_metric([queue], number)
    yield queues
    if hosts is not None:
        yield GaugeMetricFamily("catalogue_hosts_put_off", "Hosts of pictures that are left alone now.", value=hosts)


def _ask_broker() -> tuple[bool, dict[str, int], int | None]:
    """Return whether the broker takes writes, the length of each queue, and how many hosts rest; None: not known."""
    errors: tuple[type[BaseException], ...] = (*broker_errors(), KombuError, RedisError, OSError)
    try:
        if check_broker() != OK:
            return False, {}, None
        messages = {queue: count_messages(queue) for queue in settings.CELERY_TASK_QUEUES}
        return True, messages, count_resting_hosts(settings.REDIS_URL) if settings.REDIS_URL else None
    except errors:
        return False, {}, None


def _collect_disks() -> Iterator[Any]:
    free = GaugeMetricFamily("catalogue_disk_free_bytes", "Room on the disk of this machine.", labels=["place"])
    places: dict[str, str | PathLike[str]] = {"artefacts": settings.ARTEFACTS_DIR}
    if isinstance(default_storage, FileSystemStorage):
        places["media"] = default_storage.location
    if connection.vendor == "sqlite":
        places["database"] = connection.settings_dict["NAME"]
    for place, path in places.items():
        there = next(part for part in (Path(path), *Path(path).parents) if part.exists())
        free.add_metric([place], shutil.disk_usage(there).free)
    yield free

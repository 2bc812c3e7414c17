"""How long the hosts of a run's pictures make it take: their rates, and how many pictures each of them has.

From a sample of ids, so that it costs the same of ten million pictures as of a thousand.
"""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import FilteredRelation, Q
from yarl import URL

from catalog.fetching.host_limits import normalise_host
from catalog.fetching.policy import FetchPolicy
from catalog.models import Image
from catalog.values import is_media_name
from classifier.models import LabellingRun, LabelTask
from config.web.texts import format_duration

#: Ids that are looked at. Of a host with a tenth of the pictures that says the number within a fifth, mostly.
SAMPLE: Final = 1000
#: Hosts that are named, and the time from which on they are.
SHOWN_HOSTS: Final = 5
LEAST_SECONDS: Final = 60.0

State = LabelTask.State


@dataclass(frozen=True, slots=True)
class HostPace:
    """About how many pictures of a host are still to be fetched, its rate a second, and the seconds that takes."""

    host: str
    pictures: int
    per_second: float
    seconds: float

    @property
    def words(self) -> str:
        """The same in a sentence."""
        return (
            f"About {self.pictures:,} pictures of {self.host}, {self.per_second:g} a second at most: "
            f"{format_duration(self.seconds)} at least."
        )


def estimate_hosts(run: LabellingRun) -> Sequence[HostPace]:
    """Return which hosts hold the run up for a minute or more, the longest first; of one that was not saved as well.

    Known are only pictures at URLs that are not held yet, or that are asked for again. One query, two for a selection.
    """
    if run.features_only:
        return []
    ids, scale = _sample_ids(run)
    if not ids:
        return []
    policy, hosts = FetchPolicy.from_settings(), Counter[str]()
    for url in _list_to_fetch(run, ids):
        if not is_media_name(url) and (host := _find_host(url)):
            hosts[host] += 1
    paces = [
        HostPace(host, round(number * scale), rate, number * scale / rate)
        for host, number in hosts.items()
        if (rate := policy.get_rate(host)) > 0
    ]
    slow = [pace for pace in paces if pace.seconds >= LEAST_SECONDS]
    return sorted(slow, key=lambda pace: (-pace.seconds, pace.host))[:SHOWN_HOSTS]


def _sample_ids(run: LabellingRun) -> tuple[list[int], float]:
    """Return ids of images, drawn at random of those that the run looked at or will look at, and for how many each
    stands."""
    if run.selected:
        # What it has taken is in the ledger; of what it has not, the first ones stand for all.
        ahead = run.selection.count()
        chosen = list(run.selection.order_by("image_id").values_list("image_id", flat=True)[: SAMPLE // 2])
        taken = LabelTask.objects.open().filter(run=run).order_by("next_try_at", "pk")
        ids = [*chosen, *taken.values_list("image_id", flat=True)[: SAMPLE // 2]]
        return ids, max(1.0, (ahead + run.total) / max(1, len(ids)))
    last = run.takes_until
    ids = list(range(1, last + 1)) if last <= SAMPLE else sorted(random.sample(range(1, last + 1), SAMPLE))
    return ids, max(1.0, last / SAMPLE)


def _list_to_fetch(run: LabellingRun, ids: Sequence[int]) -> list[str]:
    """Return the addresses of those of the images that the run has still to fetch."""
    of_version = FilteredRelation("label_tasks", condition=Q(label_tasks__model_version=run.model_version_id))
    rows: Any = Image.objects.filter(pk__in=ids).annotate(task=of_version)
    columns = ("pk", "url", "stored_picture__url", "task__run", "task__state")
    found = []
    for pk, url, held_url, run_id, state in rows.values_list(*columns):
        is_open = run_id == run.pk and state in (State.NEW, State.RUNNING)
        is_ahead = pk > run.taken_until and (run.relabel or state is None)
        if (is_open or is_ahead) and (run.relabel or held_url != url):
            found.append(url)
    return found


def _find_host(url: str) -> str:
    try:
        return normalise_host(URL(url).raw_host or "")
    except ValueError:
        return ""

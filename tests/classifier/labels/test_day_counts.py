"""How many labels of each kind a day brought: the same however much of the history is counted already."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from classifier.labels.day_counts import Kind, count_all_changes, count_changes, list_day_counts
from classifier.models import LabelChange, LabelCount, LabelCounting

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

FIRST = datetime(2026, 5, 1, 23, 59, tzinfo=UTC)


def create_changes(count: int, *, status: str = "labelled", day: int = 0) -> None:
    for number in range(count):
        LabelChange.objects.create(
            product_id=number + 1,
            at=FIRST + timedelta(days=day),
            why="classified",
            old_status="pending",
            new_status=status,
            new_source="machine",
            new_group="Bags" if status == "labelled" else "",
            new_version_id=3 if status == "labelled" else None,
        )


def count(first: int = 0, last: int = 9) -> dict[tuple[int, int, str], int]:
    """Number by day of May, version and status."""
    start = FIRST.date()
    counts: Counter[tuple[int, int, str]] = Counter()
    for kind, number in list_day_counts(start + timedelta(days=first), start + timedelta(days=last)):
        assert isinstance(kind, Kind)
        counts[kind.day.day, kind.version_id, kind.status] += number
    return dict(counts)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_numbers_are_those_of_the_history_before_and_after_it_is_counted(size: int) -> None:
    create_changes(4)
    create_changes(2, status="failed", day=1)
    # Ids go on from those of other tests; steps of one would pass them all.
    LabelCounting.objects.create(pk=1, after=LabelChange.objects.order_by("pk")[0].pk - 1)
    expected = {(1, 3, "labelled"): 4, (2, 0, "failed"): 2}
    assert count() == expected

    count_changes(seconds=60, size=size)
    assert (LabelCount.objects.count(), count()) == (2, expected)
    assert count_changes(seconds=60, size=size) == 0

    create_changes(5)
    assert count() == {(1, 3, "labelled"): 9, (2, 0, "failed"): 2}
    count_changes(seconds=60, size=size)
    assert count() == {(1, 3, "labelled"): 9, (2, 0, "failed"): 2}
    assert count(first=1) == {(2, 0, "failed"): 2}
    assert count_all_changes() == {("labelled", "machine", ""): 9, ("failed", "machine", ""): 2}


def test_a_step_ends_in_time_and_goes_on_where_it_ended() -> None:
    create_changes(5)
    assert count_changes(seconds=0, size=2) > 0
    assert count() == {(1, 3, "labelled"): 5}

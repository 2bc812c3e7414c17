"""Rows that are read in the order of their ids: none appears behind a reader, in whatever order transactions end."""

import random
import threading
import time

import pytest
from django.db import connection, transaction

from classifier.models import LabelChange
from config.db.commit_order import announce_rows, get_settled_id
from tests.support.others import Other

pytestmark = pytest.mark.django_db(transaction=True)


def insert_change(product_id: int = 1) -> int:
    announce_rows(LabelChange)
    return LabelChange.objects.create(product_id=product_id, why="found", old_status="pending", new_status="failed").pk


@pytest.mark.both_databases
def test_what_is_committed_is_settled() -> None:
    before = get_settled_id(LabelChange)
    with transaction.atomic():
        insert_change()
        last = insert_change()
    assert before < last == get_settled_id(LabelChange)


@pytest.mark.postgresql
def test_a_row_that_is_committed_late_holds_back_those_behind_it() -> None:
    drawn, may_end = threading.Event(), threading.Event()

    def write_slowly() -> int:
        with transaction.atomic():
            pk = insert_change()
            drawn.set()
            assert may_end.wait(10)
        return pk

    before = insert_change()
    slow = Other(write_slowly)
    slow.start()
    assert drawn.wait(10)
    behind = insert_change()
    held_back = get_settled_id(LabelChange)
    may_end.set()
    slow.join()

    assert before < slow.outcome < behind
    assert held_back == before
    assert get_settled_id(LabelChange) == behind


@pytest.mark.postgresql
def test_what_is_rolled_back_holds_nothing_back() -> None:
    with transaction.atomic():
        with transaction.atomic():
            insert_change()
            transaction.set_rollback(True)
        # The savepoint took the lock with it, so the next row announces itself anew.
        insert_change()
        seen = Other(lambda: get_settled_id(LabelChange))
        seen.start()
        seen.join()
    assert seen.outcome < LabelChange.objects.get().pk


@pytest.mark.postgresql
def test_a_transaction_takes_one_lock_however_much_it_writes() -> None:
    with transaction.atomic():
        for _ in range(20):
            insert_change()
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            assert cursor.fetchone() == (1,)


@pytest.mark.postgresql
def test_a_reader_that_goes_on_from_its_last_row_misses_none_of_many_writers() -> None:
    def write(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(25):
            with transaction.atomic():
                for _ in range(chance.randint(1, 3)):
                    insert_change()
                    time.sleep(chance.random() / 500)
                transaction.set_rollback(chance.random() < 0.2)

    writers = [Other(lambda seed=seed: write(seed)) for seed in range(4)]
    for writer in writers:
        writer.start()
    seen: list[int] = []
    is_over = False
    while not is_over:
        is_over = not any(writer.is_alive() for writer in writers)
        settled = get_settled_id(LabelChange)
        after = seen[-1] if seen else 0
        seen += LabelChange.objects.filter(pk__gt=after, pk__lte=settled).order_by("pk").values_list("pk", flat=True)

    assert [writer.outcome for writer in writers] == [None] * 4
    assert seen == list(LabelChange.objects.order_by("pk").values_list("pk", flat=True))
    assert len(seen) > 100

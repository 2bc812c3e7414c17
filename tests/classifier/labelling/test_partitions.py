"""A ledger that is divided by version, as docs/scale.md divides it: the same ledger."""

import re
from typing import Any

import pytest
from django.db import connection

from catalog.models import ProductLabel
from classifier.labelling.runs import cancel_labelling_run
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabelTask, ModelVersion
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image
from tests.support.labels import label_everything
from tests.support.pages import read_block

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]

TABLE = LabelTask._meta.db_table
#: What a migration finds by name, but for the primary key, which has the version in it.
NAMED = rf"""
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE conrelid = '{TABLE}'::regclass AND contype IN ('c', 'f', 'u')
UNION ALL SELECT indexname, substring(indexdef FROM 'USING \w+ \([^)]*\)') FROM pg_indexes
WHERE tablename = '{TABLE}' AND indexname <> '{TABLE}_pkey'
ORDER BY 1, 2
"""


def read(statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


def look_at_keys() -> None:
    """Look at foreign keys of what this transaction has written, as its end would: no table is changed before that."""
    connection.cursor().execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def divide(version: ModelVersion) -> None:
    """Do what the page says, with a partition of this version, as psql does it."""
    text = re.sub(
        r"_7\b|\(7\)", lambda found: found[0].replace("7", str(version.pk)), read_block("scale.md", "CREATE S")
    )
    statements = re.findall(r"(.+?)(;|\\gexec)(?:\n|$)", text, re.DOTALL)
    assert len(statements) == 10
    look_at_keys()
    with connection.cursor() as cursor:
        for statement, end in statements:
            cursor.execute(statement)
            if end == r"\gexec":
                for (made,) in cursor.fetchall():
                    cursor.execute(made)


def count_rows() -> dict[str, int]:
    """Return how many tasks each partition has, by its name."""
    return dict(read(f"SELECT tableoid::regclass::text, count(*) FROM {TABLE} GROUP BY 1"))


def test_labels_go_on_after_the_ledger_is_divided() -> None:
    first = create_model_version()
    for garment in ("Bag", "Sneaker"):
        create_product(images=[create_painted_image(garment)])
    create_product(images=[create_stored_image(b"no picture")])
    label_everything()
    rows, named = list(LabelTask.objects.order_by("pk").values()), read(NAMED)
    divide(first)
    assert list(LabelTask.objects.order_by("pk").values()) == rows
    assert read(NAMED) == named

    # New pictures and those of before, beside one that nobody can label; of one picture there is one task.
    create_product(images=[create_painted_image("Dress")])
    label_everything(relabel=True)
    assert count_rows() == {f"{TABLE}_{first.pk}": 4}
    assert LabelTask.objects.latest("pk").pk > rows[-1]["id"]
    assert set(LabelTask.objects.values_list("state", "error_code")) == {("done", ""), ("failed", "not_image")}
    assert set(ProductLabel.objects.values_list("group", flat=True)) == {"Bags", "Footwear", "One piece", ""}

    # Another version's rows are among the others; a run that is cancelled closes what it took.
    ModelVersion.objects.update(stage=ModelVersion.Stage.RETIRED)
    second = create_model_version()
    run = start_labelling_run()
    cancel_labelling_run(run)
    assert set(LabelTask.objects.filter(run=run).values_list("state", flat=True)) == {"cancelled"}
    label_everything()
    assert count_rows() == {f"{TABLE}_{first.pk}": 4, f"{TABLE}_others": 4}
    assert Classification.objects.filter(model_version=second).count() == 3

    # A version that is not wanted any more is one table less.
    look_at_keys()
    connection.cursor().execute(f"DROP TABLE {TABLE}_{first.pk}")
    assert set(LabelTask.objects.values_list("model_version", flat=True)) == {second.pk}

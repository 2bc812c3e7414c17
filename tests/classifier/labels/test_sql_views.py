"""The views of the database for other programs."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from classifier.labels.sql_views import VIEWS, create_views, drop_views
from classifier.models import AdoptionRun, Classification, LabelChange, ModelVersion
from classifier.reviews.services import record_review
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


def read(statement: str, *parameters: Any) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def exists(name: str) -> bool:
    with connection.cursor() as cursor:
        return name in connection.introspection.table_names(cursor, include_views=True)


def test_the_present_label_of_every_product() -> None:
    version = create_model_version()
    product, waiting = create_product(images=[create_painted_image("Bag")]), create_product()
    label_everything()
    first, second = read("SELECT * FROM v_product_label ORDER BY product_id")
    said = Classification.objects.get()
    assert (first["product_id"], first["label_group"], first["garment"]) == (product.pk, "Bags", "Bag")
    assert (first["status"], first["evidence"], first["model_version"]) == ("labelled", "picture", version.name)
    assert (first["run_id"], first["classified_sha256"]) == (said.run_id, said.sha256)
    assert (second["product_id"], second["status"]) == (waiting.pk, "no_image")


def test_the_history_has_intervals() -> None:
    create_model_version()
    image = create_painted_image("Bag")
    product = create_product(images=[image])
    label_everything()
    record_review(image, group="Footwear", reviewer=User.objects.create_user("reviewer"))
    first, second = read("SELECT * FROM v_label_history WHERE product_id = %s ORDER BY change_id", product.pk)
    assert (first["old_status"], first["label_group"], first["status"]) == ("pending", "Bags", "labelled")
    assert first["picture_sha256"] == image.stored_picture.sha256
    assert (second["old_label_group"], second["label_group"], second["why"]) == ("Bags", "Footwear", "reviewed")
    assert str(first["valid_from"])[:23] < str(first["valid_until"])[:23] == str(second["valid_from"])[:23]
    assert second["valid_until"] is None
    assert LabelChange.objects.count() == 2


def test_which_version_was_in_production_when() -> None:
    old, first, second = (create_model_version(stage="retired") for _ in range(3))
    now = timezone.now()
    ModelVersion.objects.exclude(pk=old.pk).update(activated_at=now)
    ModelVersion.objects.filter(pk=old.pk).update(activated_at=now - timedelta(days=9))
    for days, version in ((5, first), (3, second), (1, first)):
        AdoptionRun.objects.create(model_version=version, created_at=now - timedelta(days=days))
    rows = read("SELECT * FROM v_production_as_of ORDER BY valid_from")
    assert [row["model_version"] for row in rows] == [old.name, first.name, second.name, first.name]
    assert [str(row["valid_until"])[:23] for row in rows] == [
        *(str(row["valid_from"])[:23] for row in rows[1:]),
        "None",
    ]


def test_the_views_make_room_for_migrations_and_come_back() -> None:
    assert all(exists(name) for name in VIEWS)
    drop_views(using="default", plan=[])
    assert all(exists(name) for name in VIEWS)
    drop_views(using="default", plan=["a migration"])
    assert not any(exists(name) for name in VIEWS)
    create_views(using="default")
    create_views(using="default")
    assert all(exists(name) for name in VIEWS)


def test_a_view_of_an_earlier_release_becomes_this_ones() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP VIEW v_product_label")
        cursor.execute("CREATE VIEW v_product_label AS SELECT 1 AS other")
    create_views(using="default")
    assert read("SELECT product_id FROM v_product_label") == []


@pytest.mark.postgresql
def test_who_may_read_a_view_may_read_it_behind_a_migration() -> None:
    with connection.cursor() as cursor:
        cursor.execute('CREATE ROLE "the warehouse"')
        cursor.execute('GRANT SELECT ON v_product_label TO "the warehouse"')
    drop_views(using="default", plan=["a migration"])
    drop_views(using="default", plan=["a migration"])  # the first one failed
    create_views(using="default")
    (row,) = read("SELECT has_table_privilege('the warehouse', 'v_product_label', 'SELECT') AS may")
    assert row["may"] is True
    (row,) = read("SELECT has_table_privilege('the warehouse', 'v_label_history', 'SELECT') AS may")
    assert row["may"] is False


@pytest.mark.postgresql
def test_a_role_that_is_gone_keeps_no_view_away(caplog: pytest.LogCaptureFixture) -> None:
    with connection.cursor() as cursor:
        for role in ("warehouse", "gone"):
            cursor.execute(f"CREATE ROLE {role}")
            cursor.execute(f"GRANT SELECT ON v_product_label TO {role}")
        drop_views(using="default", plan=["a migration"])
        cursor.execute("DROP ROLE gone")
    create_views(using="default")
    (row,) = read("SELECT has_table_privilege('warehouse', 'v_product_label', 'SELECT') AS may")
    assert row["may"] is True
    assert "gone may not SELECT v_product_label any more" in caplog.text
    assert not exists("v_grants")

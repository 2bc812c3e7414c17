"""The benchmark of scale: what it writes and asks of a few hundred products, and when it is skipped."""

import json
from shutil import disk_usage
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from benchmarks import scale
from benchmarks.scale_rows import insert_catalogue
from catalog.browse.summary import count_catalogue
from catalog.labels import count_labels
from catalog.models import Image, Product, ProductLabel
from classifier.models import LabellingRun

PRODUCTS = 400


@pytest.mark.postgresql
@pytest.mark.django_db
def test_what_sql_writes_is_a_catalogue_that_runs_and_cleaning_go_over(client: Client) -> None:
    insert_catalogue(products=PRODUCTS, report=lambda step: None)
    connection.cursor().execute("SET LOCAL session_replication_role = DEFAULT")
    assert Product.objects.count() == ProductLabel.objects.count() == Image.objects.count() == PRODUCTS
    # The start page counts by what triggers keep, which asked nothing of these rows.
    cells = {(status, group): number for status, group, number in count_catalogue().cells if number}
    assert sum(number for *_, number in count_labels()) == sum(cells.values()) == PRODUCTS
    assert cells["pending", ""] == ProductLabel.objects.filter(status="pending").count() > 0
    assert client.get("/api/v1/products/?search=00000207").json()["results"][0]["id"] == 207

    figures = [*scale._measure_selection(PRODUCTS), *scale._measure_cleaning(PRODUCTS)]
    assert [figure.name for figure in figures] == [
        "starting a run over 4 chosen pictures",
        "a step of it, 2,000 pictures",
        "starting a run over 40 chosen pictures",
        "a step of it, 2,000 pictures",
        "a step of cleaning, images behind 0",
        "a step of cleaning, images behind 360",
        "a step of cleaning, versions",
    ]
    assert all(figure.measured > 0 for figure in figures)
    ended = LabellingRun.objects.filter(pk__gt=2)
    assert list(ended.order_by("pk").values_list("state", "total")) == [("cancelled", 4), ("cancelled", 40)]


def test_many_products_are_skipped_with_a_word_where_there_is_no_room_for_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def set_free(free: float) -> None:
        monkeypatch.setattr(scale.shutil, "disk_usage", lambda path: disk_usage(path)._replace(free=int(free)))

    set_free(59e9)
    said = "skipped: expected 60 GB free for 10,000,000 products, found 59"
    assert scale.main([]) == 0
    assert capsys.readouterr().out == f"{said}\n"
    assert scale.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"skipped": said}
    assert scale.find_room(4_999_999) == ""
    set_free(60e9)
    assert scale.find_room(10_000_000) == ""


def test_too_few_products_are_bad_usage(capsys: Any) -> None:
    with pytest.raises(SystemExit, match="2"):
        scale.main(["--products", "300"])
    assert "expected at least 10,000 products, received 300" in capsys.readouterr().err

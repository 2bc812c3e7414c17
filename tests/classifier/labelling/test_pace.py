"""Which hosts hold a run up: on its page, in the API and beforehand."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection
from django.test import Client

from catalog.models import Image, StoredPicture
from classifier.labelling import pace
from classifier.labelling.pace import estimate_hosts
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabellingRun, LabelTask
from tests.support.factories import create_product, create_products
from tests.support.fakes import create_model_version
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def rates(settings: Any) -> None:
    settings.FETCH_REQUESTS_PER_SECOND_PER_HOST = 0.1
    settings.FETCH_HOST_RATES = '{"fast.example": 1000}'
    # Ids begin at one: the estimate stands on those up to the last, of which other tests have used up many.
    with connection.cursor() as cursor:
        ids = [{"table": Image._meta.db_table, "column": "id"}]
        for statement in connection.ops.sequence_reset_by_name_sql(no_style(), ids):
            cursor.execute(statement)
    create_model_version()


def create_images(host: str, number: int) -> list[Image]:
    images = Image.objects.bulk_create(Image(url=f"https://{host}/{place}.jpg") for place in range(number))
    create_products([host] * number, images=images)
    return images


def show(run: LabellingRun) -> list[tuple[str, int, float, float]]:
    return [(found.host, found.pictures, found.per_second, found.seconds) for found in estimate_hosts(run)]


def test_hosts_are_named_by_how_long_they_take_and_fast_ones_not_at_all() -> None:
    create_images("slow.example", 12)
    create_images("slower.example", 20)
    create_images("fast.example", 30)
    create_product(images=[Image.objects.create(url="mine/a.jpg")])
    run = start_labelling_run()
    assert show(run) == [("slower.example", 20, 0.1, 200.0), ("slow.example", 12, 0.1, 120.0)]


def test_what_is_held_or_done_is_not_fetched_but_asked_for_again_where_it_is_labelled_again() -> None:
    images = create_images("slow.example", 20)
    for image in images[:8]:
        StoredPicture.objects.create(
            image=image,
            url=image.url,
            sha256="0" * 64,
            storage_name="x",
            width=1,
            height=1,
            fetched_at="2026-01-01T00:00Z",
        )
    run = start_labelling_run()
    assert show(run) == [("slow.example", 12, 0.1, 120.0)]
    LabelTask.objects.filter(image__in=images[8:14]).update(state="done")
    assert show(run) == [("slow.example", 6, 0.1, 60.0)]
    again = LabellingRun(model_version=run.model_version, relabel=True, takes_until=images[-1].pk)
    assert show(again) == [("slow.example", 20, 0.1, 200.0)]


def test_a_selection_counts_what_it_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    images = create_images("slow.example", 40)
    run = start_labelling_run(images=Image.objects.filter(pk__in=[image.pk for image in images[:10]]))
    assert show(run) == [("slow.example", 10, 0.1, 100.0)]


def test_a_sample_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    create_images("slow.example", 200)
    monkeypatch.setattr(pace, "SAMPLE", 50)
    (found,) = show(start_labelling_run())
    assert 150 < found[1] <= 250


def test_page_api_and_command_say_it(client: Client) -> None:
    create_images("slow.example", 20)
    output = StringIO()
    call_command("label_catalog", dry_run=True, json=True, stdout=output)
    expected = [{"host": "slow.example", "pictures": 20, "per_second": 0.1, "seconds": 200.0}]
    assert json.loads(output.getvalue()) == {"hosts": expected}
    assert not LabellingRun.objects.exists()
    run = start_labelling_run()
    sign_in(client, "view_labellingrun")
    page = client.get(f"/labelling-runs/{run.pk}/").text
    assert "About 20 pictures of slow.example, 0.1 a second at most: 3 min 20 s at least." in page
    assert client.get(f"/api/v1/labelling-runs/{run.pk}/").json()["hosts"] == expected
    output = StringIO()
    call_command("label_catalog", dry_run=True, relabel=True, stdout=output)
    assert "slow.example" in output.getvalue()

"""The start page: the whole catalogue at a glance, what leads on from it, and what it costs."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.db import OperationalError
from django.test import Client
from django.utils import timezone

from catalog.browse import summary as catalogue_summary
from catalog.browse.summary import CatalogueSummary, build_periods, count_catalogue, get_catalogue_summary
from catalog.labels import Day
from catalog.models import Product, ProductLabel
from classifier.models import AdoptionRun, ModelVersion, StageChange
from classifier.monitoring.start_page import Duty, describe_size, list_duties, list_version_figures
from config import cached_counts
from tests.support.factories import create_image, create_product, create_product_image
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import create_labelled_product, label_everything
from tests.support.members import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def read_figures(page: str) -> dict[str, tuple[str, str]]:
    """The tiles by their words: the filters behind each, and its number."""
    found = re.findall(r'<li><a href="/products/\?([^"]*)"><b>([^<]*)</b> ([^<]*)</a></li>', page)
    return {words: (filters, number) for filters, number, words in found}


def test_every_number_has_its_list_and_the_list_has_that_many(client: Client) -> None:
    create_labelled_product(status="labelled")
    create_labelled_product(status="labelled")
    create_labelled_product(status="needs_review", confidence=0.4)
    create_labelled_product(status="reviewed", source="person")
    create_labelled_product(status="none_of_these", group="", garment="", confidence=None)
    create_labelled_product(status="failed", group="", garment="", confidence=None)
    create_product("Pending", images=["demo/1.png"])
    create_product("Second image only")
    create_product_image(Product.objects.get(title="Second image only"), image=create_image(), image_index=1)
    create_product("Bare")

    page = client.get("/").text

    assert '<h1><a href="/products/">9 products</a></h1>' in page
    assert read_figures(page) == {
        "Labelled": ("status=labelled", "2"),
        "Needs review": ("status=needs_review", "1"),
        "Reviewed": ("status=reviewed", "1"),
        "None of these": ("status=none_of_these", "1"),
        "Unusable": ("status=unusable", "0"),
        "Failed": ("status=failed", "1"),
        "Pending": ("status=pending", "1"),
        "No image": ("status=no_image", "2"),
    }
    for filters, number in read_figures(page).values():
        listed = client.get(f"/products/?{filters.replace('&amp;', '&')}").text
        assert listed.count('class="card"') == int(number), filters


def test_the_newest_pictures_come_first_and_products_without_one_last(client: Client) -> None:
    create_model_version()
    for number in range(9):
        create_product(f"Bag {number}", images=[create_painted_image("Bag")])
    label_everything()
    create_product("Bare")
    page = client.get("/").text
    assert re.findall(r'<span class="name" dir="auto">([^<]*)</span>', page) == [f"Bag {n}" for n in range(8, 0, -1)]
    assert page.count('<img src="/thumbnails/') == 8


def test_what_needs_a_person_leads_there(client: Client) -> None:
    create_labelled_product(status="needs_review", confidence=0.4)
    create_labelled_product(status="failed", group="", garment="", confidence=None)
    create_product(images=["demo/1.png"])
    page = client.get("/").text
    assert 'href="/products/?status=needs_review&amp;ordering=confidence">Least sure first</a>' in page
    assert 'href="/products/?status=failed">Failed products</a>' in page
    assert "python manage.py label_catalog --wait" in page
    assert "Nothing. Every product with a picture has a label" not in page
    sign_in(client, "view_labeltask", "view_labellingrun")
    page = client.get("/").text
    assert '<a class="button" href="/errors/">Error queue</a>' in page
    assert '<a class="button" href="/labelling-runs/">Labelling runs</a>' in page


def test_a_catalogue_in_order_needs_nobody(client: Client) -> None:
    create_labelled_product()
    assert "Nothing. Every product with a picture has a label that was kept." in client.get("/").text


def test_the_active_version_shows_its_figures_and_without_one_the_command_to_run(client: Client) -> None:
    create_labelled_product()
    assert "register_model_version classifier/artefacts/default --activate" in client.get("/").text
    version = create_model_version()
    version.metrics = {"accuracy": 0.9864, "expected_calibration_error": 0.00201, "images": 10000}
    version.save()
    page = client.get("/").text
    assert f'<a href="/experiments/">{version.name}</a>' in page
    assert '<dd class="figure">98.6 % (98.4 to 98.8)</dd>' in page
    assert '<dd class="figure">0.20 %</dd>' in page
    assert "On 10,000 test pictures" in page
    sign_in(client, "view_modelversion")
    assert f'<a href="/model-versions/{version.pk}/">{version.name}</a>' in client.get("/").text


def test_groups_are_drawn_over_time_and_told_as_numbers(client: Client) -> None:
    today = timezone.now()
    create_labelled_product(group="Bags", garment="Bag", labelled_at=today)
    create_labelled_product(group="Footwear", garment="Sandal", labelled_at=today)
    create_labelled_product(group="Footwear", garment="Sandal", labelled_at=today - timedelta(days=3))
    page = client.get("/").text
    assert 'href="/products/?group=Upper%20part">Upper part</a>' in page
    assert page.count('<svg class="columns-chart" viewBox="0 0 14 100"') == 5
    assert '<rect x="13.1" y="50.00" width="0.8" height="50.00">' in page
    assert "<title>50.0 %</title>" in page
    row = re.search(rf'<th scope="row">{today:%-d %b %Y}</th>(.*?)</tr>', page, re.DOTALL)
    assert row is not None
    assert re.findall(r">(\d+)<", row[1]) == ["0", "0", "0", "1", "1"]


def test_labels_of_one_day_are_no_change_to_draw(client: Client) -> None:
    create_labelled_product(labelled_at=timezone.now())
    page = client.get("/").text
    assert "columns-chart" not in page
    assert '<td class="number">100.0 %</td>' in page


def test_days_are_counted_from_their_utc_midnight() -> None:
    labels = [datetime(2026, 11, 24, 23, 59, tzinfo=UTC), datetime(2026, 11, 25, 0, 1, tzinfo=UTC)]
    for labelled_at in labels:
        create_labelled_product(group="Bags", garment="Bag", labelled_at=labelled_at)
    rows = ProductLabel.objects.values_list(Day("labelled_at", tzinfo=UTC), flat=True).order_by("pk")
    assert list(rows) == [date(2026, 11, 24), date(2026, 11, 25)]


def test_old_labels_are_shown_by_weeks_that_begin_on_monday() -> None:
    days = {(date(2026, 11, 23), "Bags"): 2, (date(2026, 11, 22), "Bags"): 3, (date(2026, 9, 7), "Footwear"): 4}
    # Older than all that is shown.
    days[date(2026, 9, 6), "Bags"] = 9
    name, periods = build_periods(days, today=NOW.date())
    assert (name, len(periods), periods[0].first, periods[-1].first) == (
        "week",
        12,
        date(2026, 9, 7),
        date(2026, 11, 23),
    )
    assert [period.total for period in periods] == [4, *[0] * 9, 3, 2]
    assert (periods[0].share("Footwear"), periods[0].share("Bags"), periods[1].share("Bags")) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize("products", [1, 30])
def test_the_page_costs_five_queries_and_three_while_the_counts_are_fresh(
    client: Client, products: int, django_assert_num_queries
) -> None:
    version = create_model_version()
    for _ in range(products):
        create_labelled_product(model_version=version)
    with django_assert_num_queries(5):
        first = client.get("/").text
    with django_assert_num_queries(3):
        assert client.get("/").text == first


def test_fresh_counts_are_kept_and_stale_ones_counted_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    create_labelled_product(group="Bags", garment="Bag", labelled_at=timezone.now() - timedelta(days=2))
    create_labelled_product(labelled_at=timezone.now())
    first = get_catalogue_summary()
    create_labelled_product()
    assert get_catalogue_summary() == first
    monkeypatch.setattr(cached_counts, "time", lambda: datetime.now(tz=UTC).timestamp() + 1000)
    counted = get_catalogue_summary()
    assert (first.products, counted.products) == (2, 3)


def test_one_request_counts_and_the_others_show_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    create_labelled_product()
    first = get_catalogue_summary()
    monkeypatch.setattr(cached_counts, "time", lambda: datetime.now(tz=UTC).timestamp() + 1000)
    cache.add(f"{catalogue_summary.CACHE_KEY}-counting", True, 30)
    create_labelled_product()
    assert get_catalogue_summary() == first


def test_without_counts_the_page_shows_the_rest(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    create_labelled_product("Bag")
    monkeypatch.setattr("classifier.monitoring.start_page.get_catalogue_summary", lambda: None)
    page = client.get("/").text
    assert "The catalogue is too large to be counted at the moment" in page
    assert "Model version in production" in page
    assert '<span class="name" dir="auto">Bag</span>' in page


def test_counting_that_takes_too_long_is_given_up_and_any_other_error_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class TooLongError(Exception):
        pgcode = "57014"

    def fail_with(cause: Exception) -> None:
        def count() -> None:
            raise OperationalError from cause

        monkeypatch.setattr(catalogue_summary, "count_catalogue", count)

    fail_with(TooLongError())
    assert get_catalogue_summary() is None
    # For a while nobody tries again.
    fail_with(ConnectionError())
    assert get_catalogue_summary() is None
    cache.clear()
    with pytest.raises(OperationalError):
        get_catalogue_summary()


def test_a_large_catalogue_has_as_many_products_as_labels(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        create_labelled_product()
    Product.objects.create(title="of another program")
    assert (count_catalogue().products, count_catalogue().statuses["pending"]) == (4, 1)
    monkeypatch.setattr(catalogue_summary, "COUNTED_EXACTLY", 2)
    summary = count_catalogue()
    assert (summary.products, summary.statuses["labelled"], summary.statuses["pending"]) == (3, 3, 0)
    assert '<a href="/products/">3 products</a>' in client.get("/").text


def test_an_address_with_filters_leads_to_the_list(client: Client) -> None:
    create_labelled_product(group="Bags", garment="Bag")
    response = client.get("/?group=Bags&search=red+bag&cursor=abc")
    assert (response.status_code, response.headers["Location"]) == (
        302,
        "/products/?group=Bags&search=red+bag&cursor=abc",
    )
    assert client.get("/?group=Hats", follow=True).status_code == 400


def build_summary(products: int = 8, **statuses: int) -> CatalogueSummary:
    return CatalogueSummary(
        counted_at=NOW,
        products=products,
        cells=[(status, "Bags", number) for status, number in statuses.items()],
        period_name="day",
        periods=[],
    )


def test_the_headline_says_how_many_products_there_are() -> None:
    assert describe_size(build_summary(1)) == "1 product"
    assert describe_size(build_summary(1234)) == "1,234 products"


def test_a_duty_leads_to_what_its_reader_may_see() -> None:
    summary = build_summary(needs_review=2, failed=1, pending=3)
    unsure = Duty(
        2,
        "products whose label is not sure, or whose title contradicts the picture.",
        button="Least sure first",
        address="/products/?status=needs_review&ordering=confidence",
    )
    failed, pending = "product whose picture could not be read.", "products that no model has looked at."
    assert list_duties(summary, user=AnonymousUser()) == [
        unsure,
        Duty(1, failed, button="Failed products", address="/products/?status=failed"),
        Duty(3, pending, command="python manage.py label_catalog --wait"),
    ]
    assert list_duties(summary, user=User(is_superuser=True, is_active=True)) == [
        replace(unsure, button="Review", address="/review/unsure/"),
        Duty(1, failed, button="Error queue", address="/errors/"),
        Duty(3, pending, button="Labelling runs", address="/labelling-runs/"),
    ]


def test_what_nothing_waits_for_is_no_duty() -> None:
    assert list_duties(build_summary(labelled=8), user=AnonymousUser()) == []


def test_only_the_figures_that_a_version_has_are_shown() -> None:
    version = ModelVersion(metrics={"accuracy": 0.9, "expected_calibration_error": 0.01234, "answered": None})
    assert list_version_figures(version) == [("Accuracy over groups", "90.0 %"), ("Calibration error", "1.23 %")]


def test_the_accuracy_of_nothing_is_a_dash() -> None:
    version = ModelVersion(metrics={"answered": 0.0, "accuracy_of_answered": 0.0})
    assert list_version_figures(version) == [("Kept", "0.0 %"), ("Accuracy of what is kept", "\N{EN DASH}")]


def test_what_speaks_against_the_version_in_production_is_said_to_those_who_see_versions(
    client: Client, settings: Any
) -> None:
    version = create_model_version()
    create_labelled_product(model_version=version)
    page = "/"
    assert "looked at again by" not in client.get(page).text
    sign_in(client, "view_modelversion")
    ModelVersion.objects.update(activated_at=timezone.now() - timedelta(days=settings.VERSION_REVIEW_DAYS - 1))
    assert "looked at again by" not in client.get(page).text
    ModelVersion.objects.update(activated_at=timezone.now() - timedelta(days=settings.VERSION_REVIEW_DAYS + 1))
    assert "It was to be looked at again by" in client.get(page).text
    assert "not as they were promised" not in client.get(page).text
    AdoptionRun.objects.create(model_version=version, watch="departed")
    assert "Its labels are not as they were promised" in client.get(page).text
    AdoptionRun.objects.create(model_version=version, watch="kept")
    assert "not as they were promised" not in client.get(page).text
    client.logout()
    assert "looked at again by" not in client.get(page).text


def test_requests_for_a_stage_are_a_duty(client: Client) -> None:
    create_labelled_product(model_version=create_model_version())
    candidate = create_model_version(stage="candidate")
    StageChange.objects.create(
        model_version=candidate, from_stage="candidate", to_stage="production", way="api", evidence_sha256="0" * 64
    )
    assert "to be decided" not in client.get("/").text
    sign_in(client, "view_modelversion")
    assert "<b>1</b> request for the stage of a model version to be decided." in client.get("/").text

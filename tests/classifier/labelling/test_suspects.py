"""Suspected pictures in the error queue: its page, its API, the admin, and the pages that lead there."""

import json
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from catalog.models import Image, Product, ProductLabel
from classifier.labels.walk import refresh_all_labels
from classifier.models import LabelTask, SuspectedPicture
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_stored_image
from tests.support.labels import label_everything
from tests.support.members import sign_in
from tests.support.placeholders import show_placeholder

pytestmark = pytest.mark.django_db

ERRORS, API = "/errors/", "/api/v1/errors/"


@pytest.fixture(autouse=True)
def shelf() -> None:
    """No product shows more than these tests say."""


@pytest.fixture
def suspect() -> SuspectedPicture:
    """A placeholder of twenty products at two addresses, and a product whose picture failed before."""
    create_model_version()
    create_product("Broken", images=[create_stored_image(b"not a picture")])
    show_placeholder(addresses=2)
    label_everything()
    refresh_all_labels()
    return SuspectedPicture.objects.get()


def get_statuses() -> dict[str, int]:
    """How many products have each status and reason."""
    labels = list(ProductLabel.objects.values_list("status", "reason"))
    return {f"{status} {reason}".strip(): labels.count((status, reason)) for status, reason in set(labels)}


def test_the_queue_has_one_entry_for_all_products(client: Client, suspect: SuspectedPicture) -> None:
    sign_in(client, "view_labeltask")
    entry, failure = client.get(API).json()["results"]
    image = Image.objects.get(pk=entry["image"])
    found_at = suspect.found_at.isoformat().replace("+00:00", "Z")
    assert entry == {
        "id": -suspect.pk,
        "image": image.pk,
        "image_url": image.url,
        "code": "placeholder",
        "state": "suspected",
        "attempts": 0,
        "crashes": 0,
        "run": None,
        "model_version": None,
        "first_failed_at": found_at,
        "last_failed_at": found_at,
        "next_try_at": None,
        "products": 20,
    }
    assert image.stored_picture.sha256 == suspect.sha256
    assert (failure["code"], failure["products"], failure.keys()) == ("not_image", None, entry.keys())
    assert get_statuses() == {"needs_review placeholder": 20, "failed not_image": 1}


def test_filters_and_pages_know_suspects(client: Client, suspect: SuspectedPicture) -> None:
    task = LabelTask.objects.get(state="failed")
    sign_in(client, "view_labeltask")
    image = client.get(API).json()["results"][0]["image"]
    for query, expected in {
        "code=placeholder": [-suspect.pk],
        "state=suspected": [-suspect.pk],
        f"code=placeholder&image={image}": [-suspect.pk],
        f"code=placeholder&run={task.run_id}": [],
        "code=placeholder&state=failed": [],
        "state=failed": [task.pk],
        f"image={task.image_id}": [task.pk],
        f"model_version={task.model_version_id}": [task.pk],
    }.items():
        assert [row["id"] for row in client.get(f"{API}?{query}").json()["results"]] == expected, query
    first = client.get(f"{API}?page_size=1").json()
    last = client.get(first["next"]).json()
    assert [page["results"][0]["id"] for page in (first, last)] == [-suspect.pk, task.pk]
    assert (last["next"], client.get(last["previous"]).json()["results"]) == (None, first["results"])


@pytest.mark.parametrize(
    "action,state,status",
    [("picture", "picture", "labelled"), ("ignore", "ignored", "needs_review placeholder")],
)
def test_one_call_answers_for_all_products(
    client: Client, suspect: SuspectedPicture, action: str, state: str, status: str
) -> None:
    user = sign_in(client, "view_labeltask", "change_labeltask")
    for _ in range(2):
        response = client.post(f"{API}{-suspect.pk}/{action}/")
        assert (response.status_code, response.json()["state"]) == (200, state)
    assert get_statuses() == {status: 20, "failed not_image": 1}
    assert [row["code"] for row in client.get(API).json()["results"]] == ["not_image"]
    assert SuspectedPicture.objects.get().answered_by == user
    other = {"picture": "ignore", "ignore": "picture"}[action]
    response = client.post(f"{API}{-suspect.pk}/{other}/")
    assert (response.status_code, response.json()["detail"].rpartition("; ")[2]) == (409, f"it is {state}.")
    assert get_statuses()[status] == 20


def test_what_a_call_is_not_for_is_refused(client: Client, suspect: SuspectedPicture) -> None:
    task = LabelTask.objects.get(state="failed")
    sign_in(client, "view_labeltask", "change_labeltask")
    for address, status, detail in (
        (f"{-suspect.pk}/retry/", 409, "Expected a task in the error queue; it is suspected."),
        (f"{task.pk}/picture/", 409, "Expected a suspected picture; it is failed."),
        (f"{-suspect.pk - 1}/ignore/", 404, None),
        ("-" + "9" * 40 + "/picture/", 404, None),
        ("--1/ignore/", 404, None),
    ):
        response = client.post(f"{API}{address}")
        assert response.status_code == status, address
        assert detail in (None, response.json()["detail"])
    assert get_statuses() == {"needs_review placeholder": 20, "failed not_image": 1}


@pytest.mark.parametrize(
    "action,words,status",
    [
        ("picture", "1 picture is no placeholder, and labelled as any other.", "labelled"),
        ("ignore", "1 picture is ignored.", "needs_review placeholder"),
    ],
)
def test_the_page_shows_it_and_takes_the_answer(
    client: Client, suspect: SuspectedPicture, action: str, words: str, status: str
) -> None:
    sign_in(client, "view_labeltask", "change_labeltask")
    address = f"{ERRORS}?code=placeholder"
    page = client.get(address).text
    assert "Many unlike products show this picture first</h2>" in page
    assert "The first picture of 20 products, and no word is in half of their titles." in page
    (shown,) = re.findall(r'<a href="/products/(\d+)/">robe(\d+) bleue\2</a> and others', page)
    assert Product.objects.get(pk=shown[0]).title == f"robe{shown[1]} bleue{shown[1]}"
    assert page.count(f'name="only" value="{-suspect.pk}"') == 2
    assert "again" not in page.partition("Many unlike products show this picture first</h2>")[2]
    assert "Ignore chosen" not in page
    assert "Ignore chosen" in client.get(ERRORS).text
    form = {"only": -suspect.pk, "query": "code=placeholder"}
    answered = client.post(f"{ERRORS}{action}/", form, follow=True)
    assert answered.redirect_chain == [(address, 302)]
    assert words in answered.text
    assert "No error matches" in answered.text
    assert get_statuses()[status] == 20
    client.post(f"{ERRORS}{action}/", {"only": ["--1", "-", f"{-suspect.pk}x", "-" + "9" * 40]})


def test_an_entry_whose_pictures_are_gone_is_shown_until_it_is_looked_at_again(
    client: Client, suspect: SuspectedPicture
) -> None:
    Product.objects.all().delete()
    sign_in(client, "view_labeltask", "change_labeltask")
    assert client.get(API).json()["results"][0]["image"] is None
    assert "In no product" in client.get(f"{ERRORS}?code=placeholder").text
    assert client.post(f"{API}{-suspect.pk}/ignore/").json()["image_url"] is None


def test_an_answer_can_be_given_again_in_the_admin(client: Client, suspect: SuspectedPicture) -> None:
    user = sign_in(client, "view_suspectedpicture", "change_labeltask", staff=True)
    address = "/admin/classifier/suspectedpicture/"
    chosen: dict[str, Any] = {"_selected_action": [suspect.pk], "action": "answer_ignore"}
    assert "Ignore these placeholders?" in client.post(address, chosen).text
    assert SuspectedPicture.objects.get().answer == ""
    for action, answer, status in (
        ("answer_ignore", "ignore", "needs_review placeholder"),
        ("answer_picture", "picture", "labelled"),
    ):
        page = client.post(address, chosen | {"action": action, "confirmed": "yes"}, follow=True).text
        assert "1 pictures are answered." in page
        assert (SuspectedPicture.objects.get().answer, get_statuses()[status]) == (answer, 20)
    assert {entry.user for entry in LogEntry.objects.all()} == {user}
    assert LogEntry.objects.latest("pk").change_message == "Answered: picture."
    client.force_login(User.objects.create_user("reader", is_staff=True))
    assert client.post(address, chosen | {"confirmed": "yes"}).status_code == 403


def test_pages_and_exports_say_why_there_is_no_label(
    client: Client, suspect: SuspectedPicture, capsys: pytest.CaptureFixture[str]
) -> None:
    product = Product.objects.order_by("pk")[1]
    label = client.get(f"/api/v1/products/{product.pk}/").json()["label"]
    assert (label["status"], label["reason"], label["group"]) == ("needs_review", "placeholder", None)
    assert (label["source"], label["model_version"], label["confidence"]) == (None, None, None)
    page = client.get(f"/products/{product.pk}/").text
    assert "many unlike products show it first, so it is taken for a placeholder" in page
    assert "the picture was taken for a placeholder" in page
    assert "suspected placeholder" not in client.get("/").text
    sign_in(client, "view_labeltask")
    page = client.get("/").text
    assert "suspected placeholder, to be answered once for all their products." in page
    assert 'href="/errors/?code=placeholder">Answer</a>' in page
    assert "not sure of" not in page
    call_command("export_catalog", "--format", "jsonl", "--status", "needs_review")
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["label"]["reason"] for row in rows] == ["placeholder"] * 20


def test_the_lists_cost_the_same_for_any_number_of_suspects(
    client: Client, suspect: SuspectedPicture, django_assert_num_queries: Any
) -> None:
    sign_in(client, "view_labeltask", "change_labeltask")
    for number in range(3):
        SuspectedPicture.objects.create(sha256=f"{number:064x}", products=20)
        # Session, user, permissions twice, failures, suspects; the page asks for its worker as well.
        for address, queries in ((API, 6), (ERRORS, 7)):
            with django_assert_num_queries(queries):
                client.get(address)

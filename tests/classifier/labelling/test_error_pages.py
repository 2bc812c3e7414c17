"""The page of the error queue."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db.models import F
from django.test import Client
from django.utils import timezone

from catalog.models import ProductImages
from classifier.labelling import views as error_views
from classifier.labelling.errors import ERROR_WORDS, get_error_words, mend_image
from classifier.models import LabellingRun, LabelTask
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db

ERRORS = "/errors/"
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def run() -> LabellingRun:
    return LabellingRun.objects.create(model_version=create_model_version())


def create_error(run: LabellingRun, *, url: str | None = None, **fields: Any) -> LabelTask:
    """Create a task in the error queue: given up after a timeout, a minute later than the one before."""
    last = NOON + timedelta(minutes=LabelTask.objects.count())
    values = {"state": "failed", "error_code": "timeout", "first_failed_at": NOON, "last_failed_at": last} | fields
    return LabelTask.objects.create(image=create_image(url), model_version=run.model_version, run=run, **values)


def list_words(page: str) -> list[str]:
    """Return the reasons of the failures that a page shows, in its order."""
    return re.findall(r"<h2>([^<]+)</h2>", page)


def test_every_code_of_the_contract_has_words() -> None:
    text = (REPOSITORY / "docs" / "contract.md").read_text()
    codes = set(re.findall(r"`([a-z0-9_]+)`", text[text.index("`url_invalid`") : text.index("`worker_error`") + 14]))
    assert codes == set(ERROR_WORDS)
    assert get_error_words("of_a_later_version") == "of_a_later_version"


def test_the_queue_shows_why_how_often_and_when_and_needs_its_permission(client: Client, run: LabellingRun) -> None:
    task = create_error(
        run,
        url="https://shop.example/<b>/1.jpg",
        state="retry",
        attempts=3,
        crashes=1,
        next_try_at=NOON.replace(year=2126) + timedelta(hours=1),
    )
    ProductImages.objects.all().delete()
    create_product("Linen <shirt>", id=17, images=[task.image])
    create_product("The same shirt", id=18, images=[task.image])
    lone = create_error(run, error_code="not_image", attempts=1, state="ignored")
    ProductImages.objects.filter(image=lone.image).delete()
    assert client.get(ERRORS).headers["Location"] == f"/sign-in/?next={ERRORS}"
    sign_in(client, staff=True)
    assert client.get(ERRORS).status_code == 403
    sign_in(client, "view_labeltask")
    page = " ".join(client.get(ERRORS).text.split())
    assert list_words(page) == ["This is not a picture", "The host took too long"]
    ignored, waiting = re.findall(r"<li>.*?</li>", page, re.DOTALL)
    assert "<code>timeout</code>" in waiting
    assert "Waits for its next try" in waiting
    assert '<p class="address">https://shop.example/&lt;b&gt;/1.jpg</p>' in waiting
    assert '<a href="/products/17/">Linen &lt;shirt&gt;</a> and others' in waiting
    assert " 3 attempts, 1 crash · first " in waiting
    assert re.findall(r">(\d+ May [^<]+)<", waiting) == [
        "1 May 2026, 12:00 UTC",
        "1 May 2026, 12:00 UTC",
        "1 May 2126, 13:00:00 UTC",
    ]
    assert "In no product" in ignored
    assert " 1 attempt · first " in ignored
    assert "next try" not in ignored
    # Whoever may only look has no buttons, and no address leads to a retailer.
    assert "Try again" not in page
    assert not re.search(r'(href|src)="https?://', page)


def test_what_is_mended_says_that_it_is_tried_now(client: Client, run: LabellingRun) -> None:
    task = create_error(run, attempts=6)
    mend_image(task.image, url="https://shop.example/mended.jpg")
    sign_in(client, "view_labeltask")
    page = " ".join(client.get(ERRORS).text.split())
    assert "https://shop.example/mended.jpg" in page
    assert "Is tried again now</span> <code>timeout</code>" in page
    assert " Not tried since · first " in page
    assert "next try " not in page


def test_a_picture_that_we_hold_is_shown_from_our_copy(client: Client, run: LabellingRun) -> None:
    from catalog.models import StoredPicture

    task = create_error(run)
    StoredPicture.objects.create(
        image=task.image, sha256="a" * 64, storage_name="a.jpg", width=1, height=1, fetched_at=timezone.now()
    )
    sign_in(client, "view_labeltask")
    assert f'<img src="/thumbnails/{"a" * 64}.' in client.get(ERRORS).text


def test_characters_that_turn_text_around_are_left_out(client: Client, run: LabellingRun) -> None:
    create_error(run, url="https://shop.example/\u202egpj.exe")
    sign_in(client, "view_labeltask")
    page = client.get(ERRORS).text
    assert "https://shop.example/gpj.exe" in page
    assert "\u202e" not in page


def test_filters_narrow_the_queue_and_stay_in_the_form(client: Client, run: LabellingRun) -> None:
    create_error(run)
    create_error(run, error_code="not_image")
    waiting = create_error(run, state="retry")
    other = create_error(LabellingRun.objects.create(model_version=run.model_version))
    sign_in(client, "view_labeltask")
    assert list_words(client.get(f"{ERRORS}?code=not_image").text) == ["This is not a picture"]
    page = client.get(f"{ERRORS}?code=timeout&state=retry").text
    assert list_words(page) == ["The host took too long"]
    assert '<option value="timeout" selected>' in page
    assert '<option value="retry" selected>' in page
    assert len(list_words(client.get(f"{ERRORS}?run={other.run_id}").text)) == 1
    assert len(list_words(client.get(f"{ERRORS}?image={waiting.image_id}").text)) == 1
    assert len(list_words(client.get(f"{ERRORS}?code=&state=&utm_source=mail").text)) == 4
    response = client.get(f"{ERRORS}?state=perhaps&run=x")
    assert response.status_code == 400
    assert "State: &quot;perhaps&quot; is not a valid choice." in response.text
    assert list_words(response.text) == []


def test_pages_follow_each_other(client: Client, run: LabellingRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_views, "ERRORS_PER_PAGE", 2)
    for code in ("timeout", "not_image", "dns_error"):
        create_error(run, error_code=code)
    sign_in(client, "view_labeltask")
    page = client.get(ERRORS).text
    assert list_words(page) == ["The host&#x27;s name is not known", "This is not a picture"]
    (older,) = re.findall(r'rel="next" href="(\?cursor=[^"]+)"', page)
    assert list_words(client.get(ERRORS + older).text) == ["The host took too long"]
    assert client.get(f"{ERRORS}?cursor=forged").status_code == 404


@pytest.mark.parametrize(
    "attempts, crashes, words",
    [
        (1, 0, "1 attempt"),
        (3, 0, "3 attempts"),
        (1, 1, "1 attempt, 1 crash"),
        (0, 3, "0 attempts, 3 crashes"),
        (0, 0, "Not tried since"),
    ],
)
def test_a_picture_says_how_often_it_was_tried(attempts: int, crashes: int, words: str) -> None:
    assert error_views.describe_tries(LabelTask(attempts=attempts, crashes=crashes)) == words


def test_one_picture_is_tried_again_or_ignored_by_who_may(client: Client, run: LabellingRun) -> None:
    task, other = create_error(run, attempts=6), create_error(run)
    sign_in(client, "view_labeltask", "change_labellingrun")
    for action in ("retry", "ignore"):
        assert client.post(f"{ERRORS}{action}/", {"only": task.pk}).status_code == 403
    task.refresh_from_db()
    assert (task.state, task.attempts) == ("failed", 6)
    sign_in(client, "view_labeltask", "change_labeltask")
    assert client.get(ERRORS).text.count(">Try again<") == 2
    # The button beside one picture counts, whatever is marked.
    response = client.post(f"{ERRORS}retry/", {"only": task.pk, "task": [other.pk], "query": "code=timeout"})
    assert response.headers["Location"] == f"{ERRORS}?code=timeout"
    assert "1 picture is tried again." in client.get(response.headers["Location"]).text
    task.refresh_from_db()
    other.refresh_from_db()
    assert (task.state, task.attempts, other.state) == ("retry", 0, "failed")
    assert client.get(f"{ERRORS}retry/").status_code == 405
    page = client.post(f"{ERRORS}ignore/", {"only": other.pk}, follow=True).text
    other.refresh_from_db()
    assert (other.state, "1 picture is ignored." in page) == ("ignored", True)


def test_many_pictures_are_changed_together(client: Client, run: LabellingRun) -> None:
    tasks = [create_error(run) for _ in range(3)]
    LabelTask.objects.filter(pk=tasks[2].pk).update(state="done")
    sign_in(client, "view_labeltask", "change_labeltask")
    page = client.post(f"{ERRORS}ignore/", {"task": [task.pk for task in tasks]}, follow=True).text
    assert "2 pictures are ignored. The other 1 had changed meanwhile." in page
    assert list(LabelTask.objects.order_by("pk").values_list("state", flat=True)) == ["ignored", "ignored", "done"]


@pytest.mark.parametrize("chosen", [{}, {"task": ["x", "--1", "²", "9" * 40, "9" * 5_000]}])
def test_a_form_without_a_choice_changes_nothing_and_says_so(
    client: Client, run: LabellingRun, chosen: dict[str, Any]
) -> None:
    create_error(run)
    sign_in(client, "view_labeltask", "change_labeltask")
    page = client.post(f"{ERRORS}retry/", {**chosen, "query": "code=timeout\r\nX: y"}, follow=True).text
    assert "Nothing was chosen" in page
    assert LabelTask.objects.get().state == "failed"


def test_forms_need_the_csrf_token(run: LabellingRun) -> None:
    task = create_error(run)
    client = Client(enforce_csrf_checks=True)
    sign_in(client, "view_labeltask", "change_labeltask")
    for action in ("retry", "ignore"):
        assert client.post(f"{ERRORS}{action}/", {"only": task.pk}).status_code == 403
    assert LabelTask.objects.get().state == "failed"


def test_an_empty_queue_says_what_to_do(client: Client) -> None:
    sign_in(client, "view_labeltask")
    page = client.get(ERRORS).text
    assert "Nothing has been tried yet" in page
    assert "manage.py label_catalog --wait" in page
    assert "No error matches" in client.get(f"{ERRORS}?code=timeout").text
    LabellingRun.objects.create(model_version=create_model_version())
    assert "Nothing failed" in client.get(ERRORS).text


def test_the_queue_costs_the_same_for_any_number_of_errors(
    client: Client, run: LabellingRun, django_assert_num_queries: Any
) -> None:
    sign_in(client, "view_labeltask", "change_labeltask")
    for _ in range(3):
        create_product(images=[create_error(run).image])
        # Session, user, permissions twice, the page, suspects, the worker.
        with django_assert_num_queries(7):
            client.get(ERRORS)


def test_the_page_has_nothing_inline_and_nothing_from_elsewhere(client: Client, run: LabellingRun) -> None:
    create_error(run, url="shop/<script>alert(1)</script>.jpg")
    LabelTask.objects.update(first_failed_at=F("last_failed_at"))
    sign_in(client, "view_labeltask", "change_labeltask")
    page = re.sub(r'<script src="/static/[^"]+" defer></script>', "", client.get(ERRORS).text)
    assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|https?://", page)

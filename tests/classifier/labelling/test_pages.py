"""The pages of labelling runs."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from catalog.models import Image
from classifier.labelling import views as labelling_views
from classifier.labelling.batches import label_batch
from classifier.labelling.reports import RunReport, forget_run_report
from classifier.labelling.selectors import RunProgress
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabellingRun, LabelTask, QueueCanary
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, create_model_version, create_painted_image, create_stored_image
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db

RUNS = "/labelling-runs/"
NUMBER = re.compile(r"<dt[^>]*>([^<]+)</dt><dd>(?:<time[^>]*>)?([^<]+)<")


def list_figures(response: HttpResponse) -> dict[str, str]:
    """Return the names and the values that a page shows in its lists of figures."""
    return dict(NUMBER.findall(response.text))


def work(*, at_most: int = 1000) -> None:
    """Label due tasks, as a worker would."""
    due = list(LabelTask.objects.due().order_by("pk").values_list("pk", flat=True)[:at_most])
    label_batch(due, get_classifier=lambda _: FakeClassifier())


def test_the_list_shows_runs_newest_first_and_needs_its_permission(client: Client) -> None:
    version = create_model_version()
    first = LabellingRun.objects.create(model_version=version, state="cancelled")
    second = LabellingRun.objects.create(model_version=version, total=1234567, relabel=True)
    assert client.get(RUNS).headers["Location"] == f"/sign-in/?next={RUNS}"
    sign_in(client, staff=True)
    assert client.get(RUNS).status_code == 403
    sign_in(client, "view_labellingrun")
    page = client.get(RUNS).text
    assert re.findall(r"Run \d+", page) == [f"Run {second.pk}", f"Run {first.pk}"]
    assert "1,234,567" in page
    assert version.name in page
    assert "Start labelling" not in page


def test_older_runs_are_on_the_next_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.web.model_views.ROWS_PER_PAGE", 2)
    version = create_model_version()
    runs = [LabellingRun.objects.create(model_version=version) for _ in range(3)]
    sign_in(client, "view_labellingrun")
    page = client.get(RUNS).text
    assert re.findall(r"Run \d+", page) == [f"Run {runs[2].pk}", f"Run {runs[1].pk}"]
    (older,) = re.findall(r'rel="next" href="(\?cursor=[^"]+)"', page)
    assert re.findall(r"Run \d+", client.get(RUNS + older).text) == [f"Run {runs[0].pk}"]
    assert client.get(f"{RUNS}?cursor=forged").status_code == 404


def test_a_run_is_started_from_the_page_by_who_may(client: Client) -> None:
    version = create_model_version()
    create_painted_image()
    create_painted_image()
    form = {"relabel": "false", "limit": "1", "key": "of-the-form"}
    sign_in(client, "view_labellingrun")
    assert client.post(RUNS, form).status_code == 403
    assert not LabellingRun.objects.exists()
    user = sign_in(client, "view_labellingrun", "add_labellingrun")
    (key,) = re.findall(r'name="key" value="([0-9a-f]{32})"', client.get(RUNS).text)
    response = client.post(RUNS, {**form, "key": key})
    run = LabellingRun.objects.get()
    assert response.headers["Location"] == f"{RUNS}{run.pk}/"
    assert (run.model_version, run.requested_by, run.relabel, run.limit, run.total) == (version, user, False, 1, 1)
    # The button pressed twice.
    assert client.post(RUNS, {**form, "key": key}).headers["Location"] == f"{RUNS}{run.pk}/"
    assert LabellingRun.objects.count() == 1
    response = client.post(RUNS, {**form, "key": key, "limit": "2"})
    assert (response.status_code, "this one came with another request before" in response.text) == (409, True)
    client.post(RUNS, {"relabel": "true", "limit": "", "key": "another"})
    assert (LabellingRun.objects.first().relabel, LabellingRun.objects.first().limit) == (True, None)


def test_a_form_that_is_no_run_starts_nothing_and_says_why(client: Client) -> None:
    create_model_version()
    sign_in(client, "view_labellingrun", "add_labellingrun")
    response = client.post(RUNS, {"relabel": "perhaps", "limit": "0"})
    assert response.status_code == 400
    assert "Relabel: Must be a valid boolean." in response.text
    assert "Limit: Ensure this value is greater than or equal to 1." in response.text
    assert not LabellingRun.objects.exists()


def test_without_an_active_version_the_page_says_what_to_do(client: Client) -> None:
    sign_in(client, "view_labellingrun", "add_labellingrun")
    command = "register_model_version classifier/artefacts/default --activate"
    assert command in client.get(RUNS).text
    response = client.post(RUNS, {"relabel": "false"})
    assert (response.status_code, "There is no model version in production" in response.text) == (409, True)
    assert not LabellingRun.objects.exists()
    create_model_version()
    page = client.get(RUNS).text
    assert "manage.py label_catalog --wait" in page
    assert command not in page


def test_a_running_run_shows_how_far_it_is_and_asks_again(client: Client) -> None:
    version = create_model_version()
    create_painted_image("Bag")
    create_painted_image("Bag", unsure=True)
    broken = create_stored_image(b"not a picture")
    create_painted_image()
    user = sign_in(client, "view_labellingrun", "view_labeltask")
    run = start_labelling_run(user=user)
    address = f"{RUNS}{run.pk}/"
    page = client.get(address)
    assert "No worker of the labelling queue was seen yet." in page.text
    QueueCanary.objects.create(queue="labelling", done_at=timezone.now())
    work(at_most=3)
    LabellingRun.objects.update(created_at=timezone.now() - timedelta(seconds=70))
    forget_run_report(run)
    page = client.get(address)
    figures = list_figures(page)
    assert {name: figures[name] for name in ("Pictures", "Labelled", "of them not sure", "Failed", "To do")} == {
        "Pictures": "4",
        "Labelled": "2",
        "of them not sure": "1",
        "Failed": "1",
        "To do": "1",
    }
    assert (figures["Rate"], figures["Time left"][:2], figures["Elapsed"][:5]) == ("0.0 pictures/s", "23", "1 min")
    assert figures["By"] == user.username
    assert "3 of 4" in page.text
    assert "75.0 %" in page.text
    assert "No worker" not in page.text
    assert re.findall(r'<rect class="(\w+)" x="([\d.]+)" width="([\d.]+)"', page.text) == [
        ("sure", "0.00", "25.00"),
        ("unsure", "25.00", "25.00"),
        ("failed", "50.00", "25.00"),
    ]
    assert '<script src="/static/catalog/live.js" defer></script>' in page.text
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page.text
    assert page.text.count(" data-live>") == 5
    assert f'href="/errors/?run={run.pk}&amp;code=not_image">This is not a picture</a>' in page.text
    assert f'href="/errors/?image={broken.pk}"' in page.text
    assert version.name in page.text
    assert "<button>" not in page.text


def test_an_ended_run_says_how_and_does_not_ask_again(client: Client) -> None:
    create_model_version()
    image = create_painted_image("Bag")
    create_product("Tote <1>", id=501, images=[image])
    create_product("Other", id=502, images=["demo/1.png", image])
    run = start_labelling_run(images=Image.objects.filter(pk=image.pk))
    sign_in(client, "view_labellingrun", "change_labellingrun", "change_labeltask")
    assert "Tote" not in client.get(f"{RUNS}{run.pk}/").text
    work()
    page = client.get(f"{RUNS}{run.pk}/")
    (shown,) = re.findall(r'<ul class="strip".*?</ul>', page.text, re.DOTALL)
    assert re.findall(r'href="(/products/\d+/)"', shown) == ["/products/501/"]
    assert "Tote &lt;1&gt;</span>\n      Bags\n" in shown
    figures = list_figures(page)
    assert (figures["Pictures"], figures["Labelled"], figures["To do"], figures["By"]) == (
        "1",
        "1",
        "0",
        "The command line",
    )
    assert '<a class="button" href="/products/">Show the products</a>' in page.text
    assert ("Least sure first" in page.text) == (figures["of them not sure"] != "0")
    assert "Took" in figures
    assert "Ended" in figures
    assert not {"Elapsed", "Time left"} & set(figures)
    assert "data-live>" not in page.text
    assert "live.js" not in page.text
    assert "refresh" not in page.text
    assert "Cancel this run" not in page.text
    assert "Try failed pictures again" not in page.text
    assert client.get(f"{RUNS}999999/").status_code == 404


def test_pictures_that_a_later_run_labelled_again_stay_on_the_first_ones_page(client: Client) -> None:
    create_model_version()
    for _ in range(3):
        create_painted_image()
    first = start_labelling_run()
    work()
    start_labelling_run(relabel=True, limit=2)
    work()
    sign_in(client, "view_labellingrun")
    figures = list_figures(client.get(f"{RUNS}{first.pk}/"))
    assert (figures["Pictures"], figures["Labelled"]) == ("3", "3")
    assert "Labelled again later, or deleted" not in figures


def test_a_run_that_found_nothing_says_so(client: Client, django_capture_on_commit_callbacks) -> None:
    create_model_version()
    with django_capture_on_commit_callbacks(execute=True):
        run = start_labelling_run()
    run.refresh_from_db()
    assert (run.state, run.total) == ("done", 0)
    sign_in(client, "view_labellingrun")
    assert (
        "There was nothing to label: every picture has a label of this version" in client.get(f"{RUNS}{run.pk}/").text
    )


def test_a_stalled_run_says_so_and_what_to_look_at(client: Client) -> None:
    create_model_version()
    create_painted_image()
    create_painted_image()
    run = start_labelling_run()
    work(at_most=1)
    long_ago = timezone.now() - timedelta(hours=1)
    LabellingRun.objects.update(created_at=long_ago)
    run.classifications.update(created_at=long_ago)
    sign_in(client, "view_labellingrun")
    page = client.get(f"{RUNS}{run.pk}/").text
    assert "Stalled: nothing has moved for some minutes" in page
    assert "No worker of the labelling queue was seen yet." in page
    second = LabellingRun.objects.create(model_version=run.model_version, created_at=long_ago)
    page = client.get(f"{RUNS}{second.pk}/").text
    assert f'Waits behind <a href="{RUNS}{run.pk}/">run {run.pk}</a>' in page
    assert "Stalled" not in page


def test_a_run_is_cancelled_from_its_page_by_who_may(client: Client) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    address = f"{RUNS}{run.pk}/"
    sign_in(client, "view_labellingrun", "add_labellingrun", "change_labeltask")
    assert client.post(f"{address}cancel/").status_code == 403
    run.refresh_from_db()
    assert run.state == "running"
    sign_in(client, "view_labellingrun", "change_labellingrun")
    assert "Cancel this run" in client.get(address).text
    assert client.get(f"{address}cancel/").status_code == 405
    page = client.post(f"{address}cancel/", follow=True)
    run.refresh_from_db()
    assert (run.state, list_figures(page)["Cancelled"]) == ("cancelled", "1")
    assert "Cancel this run" not in page.text
    assert "The run had ended before." in client.post(f"{address}cancel/", follow=True).text


def test_what_failed_is_tried_again_by_who_may_and_what_was_ignored_stays(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_model_version()
    for _ in range(4):
        create_stored_image(b"not a picture")
    run = start_labelling_run()
    work()
    LabelTask.objects.filter(pk=LabelTask.objects.earliest("pk").pk).update(state="ignored")
    address = f"{RUNS}{run.pk}/"
    sign_in(client, "view_labellingrun", "change_labellingrun")
    assert client.post(f"{address}retry/").status_code == 403
    assert not LabelTask.objects.filter(state="retry").exists()
    sign_in(client, "view_labellingrun", "change_labeltask")
    assert "Try failed pictures again" in client.get(address).text
    monkeypatch.setattr(labelling_views, "MAXIMUM_ERRORS", 2)
    monkeypatch.setattr(labelling_views, "MAXIMUM_RETRIED", 2)
    page = client.post(f"{address}retry/", follow=True).text
    assert "2 pictures are tried again. There are more: press the button again." in page
    assert '<script src="/static/catalog/live.js" defer></script>' in page  # the run ended, and has work again
    monkeypatch.setattr(labelling_views, "MAXIMUM_RETRIED", 10)
    # What the first press chose is to be tried anyway.
    assert "1 picture is tried again.</p>" in client.post(f"{address}retry/", follow=True).text
    assert sorted(LabelTask.objects.values_list("state", flat=True)) == ["ignored", "retry", "retry", "retry"]


def test_forms_need_the_csrf_token() -> None:
    create_model_version()
    create_stored_image(b"not a picture")
    run = start_labelling_run()
    work()
    client = Client(enforce_csrf_checks=True)
    sign_in(client, "view_labellingrun", "add_labellingrun", "change_labellingrun", "change_labeltask")
    for address in (RUNS, f"{RUNS}{run.pk}/cancel/", f"{RUNS}{run.pk}/retry/"):
        assert client.post(address, {"relabel": "true"}).status_code == 403
    assert (LabellingRun.objects.count(), LabelTask.objects.get().state) == (1, "failed")


def test_the_list_costs_the_same_for_any_number_of_runs(client: Client, django_assert_num_queries: Any) -> None:
    sign_in(client, "view_labellingrun")
    version = create_model_version()
    for _ in range(3):
        LabellingRun.objects.create(model_version=version)
        # Session, user, permissions twice, the page, and whether a worker is there.
        with django_assert_num_queries(6):
            client.get(RUNS)


def test_a_page_that_asks_again_costs_the_run_alone(client: Client, django_assert_num_queries: Any) -> None:
    create_model_version()
    create_painted_image()
    run = start_labelling_run()
    sign_in(client, "view_labellingrun")
    client.get(f"{RUNS}{run.pk}/")
    with django_assert_num_queries(6):
        client.get(f"{RUNS}{run.pk}/")


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(client: Client) -> None:
    create_model_version()
    image = create_stored_image(b"not a picture", url="shop/<script>alert(1)</script>.jpg")
    Image.objects.filter(pk=image.pk).update(url=f"\u202e{image.url}")
    run = start_labelling_run()
    work()
    LabelTask.objects.update(state="retry")
    sign_in(
        client, "view_labellingrun", "add_labellingrun", "change_labellingrun", "change_labeltask", "view_labeltask"
    )
    for address in (RUNS, f"{RUNS}{run.pk}/"):
        page = re.sub(r'<script src="/static/[^"]+" defer></script>', "", client.get(address).text)
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|https?://|\u202e", page), address


def build_report(*, taking: bool = False) -> RunReport:
    progress = RunProgress(total=2000, new=766, running=0, done=1234, waiting=0, failed=0, cancelled=0)
    return RunReport(
        progress=progress,
        taken=progress.total,
        taking=taking,
        unsure=0,
        rate=None,
        seconds_left=None,
        stalled=False,
        ahead=None,
        codes=[],
        errors=[],
    )


@pytest.mark.parametrize(
    "fields, words",
    [
        ({}, "Missing"),
        ({"limit": 1500}, "Missing, at most 1,500"),
        ({"relabel": True}, "Again"),
        ({"relabel": True, "limit": 5}, "Again, at most 5"),
    ],
)
def test_a_run_says_which_pictures_it_is_over(fields: dict[str, Any], words: str) -> None:
    assert labelling_views.describe_pictures(LabellingRun(**fields), again="Again", missing="Missing") == words


def test_a_run_says_how_many_pictures_are_finished() -> None:
    assert labelling_views.describe_finished(build_report()) == "1,234 of 2,000"
    assert labelling_views.describe_finished(build_report(taking=True)) == "1,234 of 2,000 so far"
    # The words are read aloud at each change.
    assert labelling_views.describe_tenths(build_report()) == "60 percent done"
    assert labelling_views.describe_tenths(build_report(taking=True)) == ""

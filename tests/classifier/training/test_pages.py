"""The pages about trainings and model versions."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client
from django.utils import timezone

from classifier.adoption.services import get_activation_tag
from classifier.ml.artefacts import NETWORK_FILE
from classifier.ml.config import name_imagenet_file
from classifier.models import ModelVersion, TrainingRun
from classifier.registry.services import get_artefact_folder, register_model_version
from classifier.training.runs import claim_training_run
from classifier.training.views import describe_phase
from config import packages
from tests.support.artefacts import answer_as_registered, create_artefact_twin, register_active_version
from tests.support.fakes import create_model_version
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db

TRAININGS = "/training-runs/"
VERSIONS = "/model-versions/"
HISTORY = [
    {
        "epoch": 1.0,
        "loss": 1.0,
        "validation_loss": 0.8,
        "validation_garment_loss": 0.7,
        "validation_accuracy": 0.9,
        "seconds": 30.0,
    },
    {
        "epoch": 2.0,
        "loss": 0.5,
        "validation_loss": 0.6,
        "validation_garment_loss": 0.5,
        "validation_accuracy": 0.95,
        "seconds": 40.0,
    },
]


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    answer_as_registered(monkeypatch)


@pytest.fixture
def versions(tmp_path: Path) -> tuple[ModelVersion, ModelVersion]:
    """The active version and a candidate."""
    active = register_active_version()
    return active, register_model_version(create_artefact_twin(tmp_path / "twin"))


def test_the_list_shows_trainings_newest_first_and_needs_its_permission(client: Client) -> None:
    first = TrainingRun.objects.create(recipe="default", seed=1, state="abandoned")
    second = TrainingRun.objects.create(recipe="default", seed=2, model_version=create_model_version())
    assert client.get(TRAININGS).headers["Location"] == f"/sign-in/?next={TRAININGS}"
    sign_in(client, staff=True)
    assert client.get(TRAININGS).status_code == 403
    sign_in(client, "view_trainingrun")
    page = client.get(TRAININGS).text
    assert re.findall(r"Training \d+", page) == [f"Training {second.pk}", f"Training {first.pk}"]
    assert second.model_version.name in page
    assert "Start training" not in page


def test_a_training_is_started_from_the_page_by_who_may(client: Client) -> None:
    sign_in(client, "view_trainingrun")
    form = {"recipe": "default", "seed": "3", "epochs": "", "limit": "500"}
    assert client.post(TRAININGS, form).status_code == 403
    assert not TrainingRun.objects.exists()
    user = sign_in(client, "view_trainingrun", "add_trainingrun")
    assert "Start training" in client.get(TRAININGS).text
    response = client.post(TRAININGS, form)
    run = TrainingRun.objects.get()
    assert response.headers["Location"] == f"{TRAININGS}{run.pk}/"
    assert (run.seed, run.epochs, run.limit, run.requested_by, run.exclusive) == (3, None, 500, user, True)
    response = client.post(TRAININGS, form)
    assert (response.status_code, TrainingRun.objects.count()) == (409, 1)
    assert f"Expected no open training; training run {run.pk} is queued." in response.text


def test_the_list_says_where_no_network_can_be_trained(client: Client, settings, monkeypatch) -> None:
    sign_in(client, "view_trainingrun")
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    settings.REDIS_URL = ""
    assert packages.describe_missing(packages.TRAINS_NETWORKS) in client.get(TRAININGS).text
    # The workers may be elsewhere then, and have it.
    settings.REDIS_URL = "redis://broker:6379/0"
    assert "TensorFlow" not in client.get(TRAININGS).text


def test_a_form_that_is_no_training_starts_nothing_and_says_why(client: Client) -> None:
    sign_in(client, "view_trainingrun", "add_trainingrun")
    response = client.post(TRAININGS, {"recipe": "default", "seed": "many", "epochs": "0"})
    assert response.status_code == 400
    assert "Seed: A valid integer is required." in response.text
    assert "Epochs: Ensure this value is greater than or equal to 1." in response.text
    assert not TrainingRun.objects.exists()


def test_forms_need_the_csrf_token(versions: tuple[ModelVersion, ModelVersion]) -> None:
    active, candidate = versions
    run = TrainingRun.objects.create(recipe="default", seed=1)
    client = Client(enforce_csrf_checks=True)
    sign_in(client, "view_trainingrun", "add_trainingrun", "change_trainingrun", "change_modelversion")
    for address in (TRAININGS, f"{TRAININGS}{run.pk}/cancel/", f"{VERSIONS}{candidate.pk}/activate/"):
        assert client.post(address, {"seed": 1, "recipe": "default", "tag": get_activation_tag()}).status_code == 403
    run.refresh_from_db()
    assert (run.state, TrainingRun.objects.count()) == ("queued", 1)
    assert ModelVersion.objects.get(stage="production") == active


def test_a_running_training_shows_its_epoch_and_asks_again(client: Client) -> None:
    run = TrainingRun.objects.create(recipe="default", seed=1)
    claim_training_run(run.pk)
    progress = {"phase": "train", "epoch": 2, "epochs": 4, "step": 50, "steps": 100, "history": HISTORY}
    progress["reported_at"] = timezone.now().isoformat()
    TrainingRun.objects.update(progress=progress, started_at=timezone.now() - timedelta(hours=1))
    sign_in(client, "view_trainingrun")
    page = client.get(f"{TRAININGS}{run.pk}/").text
    assert "Train, epoch 2 of 4" in page
    assert "37.5 %" in page
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in page
    assert '<script src="/static/catalog/live.js" defer></script>' in page
    assert page.count(" data-live>") == 5
    assert "<dt>Elapsed</dt><dd>1 h 00 min</dd>" in page
    # Two epochs of 30 and 40 s; two and a half are to come.
    assert "<dt>Time left for the epochs</dt><dd>1 min 28 s</dd>" in page
    assert re.findall(r'points="([^"]+)"', page) == [
        "0.0,0.0 300.0,100.0",
        "0.0,40.0 300.0,80.0",
        "0.0,100.0 300.0,0.0",
    ]
    # The database keeps the names of a row in an order of its own.
    first_row = re.findall(r'<td class="number">([\d.]+(?: %)?)</td>', page)[:5]
    assert sorted(first_row) == ["0.7000", "0.8000", "1.0000", "30.0", "90.00 %"]
    assert "Cancel this training" not in page
    assert "Stalled" not in page
    assert "silent" not in page
    silent_since = timezone.now() - timedelta(seconds=200)
    TrainingRun.objects.update(progress=progress | {"reported_at": silent_since.isoformat()})
    assert "Alive, and silent for 3 min" in client.get(f"{TRAININGS}{run.pk}/").text
    TrainingRun.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=90))
    assert "Stalled: no sign of life" in client.get(f"{TRAININGS}{run.pk}/").text


def test_an_ended_training_says_how_and_does_not_ask_again(client: Client) -> None:
    run = TrainingRun.objects.create(recipe="default", seed=1, state="failed", error="OSError: <no space>")
    sign_in(client, "view_trainingrun", "change_trainingrun")
    page = client.get(f"{TRAININGS}{run.pk}/").text
    assert "OSError: &lt;no space&gt;" in page
    assert "refresh" not in page
    assert "data-live>" not in page
    assert "live.js" not in page
    assert "Cancel this training" not in page
    assert client.get(f"{TRAININGS}999999/").status_code == 404


def test_a_training_is_cancelled_from_its_page_by_who_may(client: Client) -> None:
    run = TrainingRun.objects.create(recipe="default", seed=1)
    claim_training_run(run.pk)
    sign_in(client, "view_trainingrun", "add_trainingrun")
    assert client.post(f"{TRAININGS}{run.pk}/cancel/").status_code == 403
    run.refresh_from_db()
    assert not run.cancel_requested
    sign_in(client, "view_trainingrun", "change_trainingrun")
    assert "Cancel this training" in client.get(f"{TRAININGS}{run.pk}/").text
    assert client.get(f"{TRAININGS}{run.pk}/cancel/").status_code == 405
    page = client.post(f"{TRAININGS}{run.pk}/cancel/", follow=True).text
    assert "Stops at its next step" in page
    assert "Cancel this training" not in page


def test_versions_show_their_figures_beside_the_active_one(
    client: Client, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    active, candidate = versions
    ModelVersion.objects.filter(pk=candidate.pk).update(metrics={"images": 10_000, "accuracy": 0.5, "groups": {}})
    assert client.get(VERSIONS).status_code == 302
    sign_in(client, "view_modelversion")
    page = client.get(VERSIONS).text
    assert page.index("twin-1") < page.index(active.name)
    assert f"{100 * active.metrics['accuracy']:.2f} %" in page
    page = client.get(f"{VERSIONS}{candidate.pk}/").text
    assert f"In production: {active.name}" in page
    assert re.findall(r'<td class="number">([\d.]+ %[^<]*)</td>', page)[:2] == [
        "50.00 % (49.02 to 50.98)",
        active.write_figure("accuracy"),
    ]
    assert "<polyline" in page
    assert candidate.manifest_sha256 in page
    assert "Activate this version" not in page
    sign_in(client, "view_modelversion", "change_modelversion")
    page = client.get(f"{VERSIONS}{candidate.pk}/").text
    assert f"<p>Labels follow this version instead of {active.name}: what it said before counts again" in page
    # The button that does it is behind one that asks.
    form = page[page.index('<details class="ask">') : page.index("<button>Yes, activate it</button>")]
    assert f"{candidate.name} is right on 50.0 % (49.0 to 51.0) of the test pictures, {active.name} on " in form
    assert client.get(f"{VERSIONS}999999/").status_code == 404


def test_a_version_is_activated_from_its_page_by_who_may(
    client: Client, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    active, candidate = versions
    address = f"{VERSIONS}{candidate.pk}/"
    sign_in(client, "view_modelversion")
    assert client.post(f"{address}activate/", {"tag": get_activation_tag()}).status_code == 403
    assert ModelVersion.objects.get(stage="production") == active
    sign_in(client, "view_modelversion", "change_modelversion")
    (tag,) = re.findall(r'name="tag" value="([^"]+)"', client.get(address).text)
    assert client.post(f"{address}activate/", {"tag": tag}).headers["Location"] == address
    assert ModelVersion.objects.get(stage="production") == candidate
    assert "Activate this version" not in client.get(address).text
    response = client.post(f"{VERSIONS}{active.pk}/activate/", {"tag": tag})
    assert (response.status_code, "Another version was activated meanwhile" in response.text) == (412, True)
    assert ModelVersion.objects.get(stage="production") == candidate


def test_a_version_with_damaged_files_is_shown_and_not_activated(
    client: Client, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    active, candidate = versions
    folder = get_artefact_folder(candidate)
    (folder / NETWORK_FILE).write_bytes(b"damaged")
    sign_in(client, "view_modelversion", "change_modelversion")
    response = client.post(f"{VERSIONS}{candidate.pk}/activate/", {"tag": get_activation_tag()})
    assert (response.status_code, "not activated: files missing or changed" in response.text) == (409, True)
    assert ModelVersion.objects.get(stage="production") == active
    (folder / "manifest.json").unlink()
    page = client.get(f"{VERSIONS}{candidate.pk}/").text
    assert "This machine has not the registered files" in page
    assert str(folder) not in page


def test_empty_pages_name_the_command(client: Client) -> None:
    sign_in(client, "view_modelversion", "view_trainingrun")
    assert "manage.py register_model_version" in client.get(VERSIONS).text
    assert "manage.py train_classifier --enqueue" in client.get(TRAININGS).text
    assert client.get(f"{VERSIONS}?cursor=forged").status_code == 404


def test_lists_cost_the_same_for_any_number_of_rows(client: Client, django_assert_num_queries) -> None:
    sign_in(client, "view_trainingrun", "view_modelversion")
    for _ in range(3):
        TrainingRun.objects.create(recipe="default", seed=1, model_version=create_model_version(stage="retired"))
        # Session, user, permissions twice, the page; a worker, titles and twice reviews; which stages are asked for.
        for address, queries in ((TRAININGS, 9), (VERSIONS, 6)):
            with django_assert_num_queries(queries):
                client.get(address)


def test_pages_have_nothing_inline_and_nothing_from_elsewhere(
    client: Client, versions: tuple[ModelVersion, ModelVersion]
) -> None:
    run = TrainingRun.objects.create(recipe="default", seed=1, progress={"history": HISTORY})
    sign_in(client, "view_trainingrun", "add_trainingrun", "view_modelversion", "change_modelversion")
    for address in (TRAININGS, f"{TRAININGS}{run.pk}/", VERSIONS, f"{VERSIONS}{versions[1].pk}/"):
        page = re.sub(r'<script src="/static/[^"]+" defer></script>', "", client.get(address).text)
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=|https?://", page), address


def test_a_run_without_a_version_says_where_its_artefact_lies(client: Client) -> None:
    run = TrainingRun.objects.create(recipe="default", seed=1, state="done", output="/srv/mine")
    sign_in(client, "view_trainingrun")
    assert "<dt>Written to</dt><dd>/srv/mine</dd>" in client.get(f"{TRAININGS}{run.pk}/").text


def test_a_training_says_what_it_does_and_in_which_epoch() -> None:
    assert describe_phase({}) == "Starting"
    assert describe_phase({"phase": "calibrate"}) == "Calibrate"
    assert describe_phase({"phase": "train", "epoch": 3, "epochs": 20}) == "Train, epoch 3 of 20"


def test_the_weights_that_are_there_are_offered(client: Client, settings, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    settings.BACKBONE_WEIGHTS = ""
    sign_in(client, "view_trainingrun", "add_trainingrun")
    offered = re.compile(r'<option value="(imagenet|none)"( selected)?>([^<]+)<')
    missing = ("imagenet", " selected", "ImageNet, which is downloaded: no file is here")
    assert offered.findall(client.get(TRAININGS).text) == [missing, ("none", "", "None: random weights")]
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name_imagenet_file(0.35)).touch()
    assert offered.findall(client.get(TRAININGS).text)[0][2] == "ImageNet, its file is here"
    settings.BACKBONE_WEIGHTS = str(tmp_path / "nothing.h5")
    assert offered.findall(client.get(TRAININGS).text)[0] == missing
    settings.BACKBONE_WEIGHTS = "none"
    assert [row[1] for row in offered.findall(client.get(TRAININGS).text)] == ["", " selected"]


def test_a_training_that_failed_is_tried_again_from_its_page(client: Client) -> None:
    failed = TrainingRun.objects.create(recipe="compact", seed=7, epochs=2, state="failed", error="no weights")
    address = f"{TRAININGS}{failed.pk}/"
    sign_in(client, "view_trainingrun")
    assert "Try again" not in client.get(address).text
    sign_in(client, "view_trainingrun", "add_trainingrun")
    page = client.get(address).text
    form = dict(
        re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', page[page.index('aria-label="Try again"') :])
    )
    client.post(TRAININGS, form | {"backbone_weights": "none"})
    again = TrainingRun.objects.exclude(pk=failed.pk).get()
    assert (again.recipe, again.seed, again.epochs, again.limit, again.backbone_weights) == (
        "compact",
        7,
        2,
        None,
        "none",
    )
    assert "<dt>Starts from</dt><dd>none</dd>" in client.get(f"{TRAININGS}{again.pk}/").text
    assert "Try again" not in client.get(f"{TRAININGS}{again.pk}/").text

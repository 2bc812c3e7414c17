"""Shadow runs and impact: what a version would change is known before it does, and nothing moves meanwhile."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from django.test import Client

from catalog.models import Image, Product, ProductLabel
from classifier.adoption import impact as impacts
from classifier.adoption.impact import OUTCOMES, find_impact, preview_next_step, start_due_impact_runs
from classifier.labelling.ledger import Failed, claim_tasks, close_finished_runs, finish_tasks
from classifier.labelling.runs import cancel_labelling_run
from classifier.labelling.starting import IdempotencyKeyError, ShadowError, start_labelling_run
from classifier.labels.walk import refresh_all_labels
from classifier.ml.judging.shares import measure_share
from classifier.models import AdoptionRun, ImpactRun, LabelChange, LabellingRun, ModelVersion
from tests.classifier.adoption.test_adoption import activate, label_with
from tests.support import factories
from tests.support.artefacts import bring_into_production
from tests.support.factories import create_description
from tests.support.fakes import build_outcome, create_model_version, create_painted_image
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

GARMENTS = ("Bag", "Dress", "Trouser", "Sandal", "Shirt")


@pytest.fixture(autouse=True)
def _no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let versions without files be activated; leave the steps to the tests."""
    monkeypatch.setattr("classifier.adoption.services.verify_version", lambda _version: None)
    monkeypatch.setattr("classifier.adoption.services.send_adoption_runs", lambda: 0)


def create_products(number: int) -> list[Product]:
    titles, images = zip(*((f"Product {each}", create_painted_image("Bag")) for each in range(number)), strict=True)
    return factories.create_products(titles, images=images)


def get_labels() -> list[tuple[Any, ...]]:
    return list(ProductLabel.objects.order_by("pk").values_list("product_id", "status", "group", "model_version_id"))


def run_shadow(version: ModelVersion, garments: dict[Product, str], **wish: Any) -> LabellingRun:
    """Let the version say these garments of the products' first pictures in a shadow run; the others fail."""
    run = start_labelling_run(shadow=version, **wish)
    batch = claim_tasks(list(run.tasks.values_list("pk", flat=True)))
    images = {product.product_images.get().image_id: (product, garment) for product, garment in garments.items()}
    outcomes: list[Any] = [
        build_outcome(task.image, images[task.image_id][1], sha256=f"{images[task.image_id][0].pk:064x}")
        if task.image_id in images
        else Failed("timeout")
        for task in batch.tasks
    ]
    finish_tasks(batch, outcomes)
    close_finished_runs()
    run.refresh_from_db()
    assert run.state == "done"
    return run


def find_run() -> ImpactRun:
    start_due_impact_runs()
    run = ImpactRun.objects.get(state="running")
    while preview_next_step(run.pk):
        pass
    run.refresh_from_db()
    return run


@pytest.mark.parametrize("step", [1, 2, 1000])
def test_the_preview_is_what_adoption_does_to_the_product(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(impacts, "STEP_SIZE", step)
    first, second = create_model_version(), create_model_version(stage="candidate")
    products = create_products(5)
    label_with(first, dict.fromkeys(products, "Bag"))
    before = get_labels()
    # The last picture is not seen by the second version.
    run_shadow(second, dict(zip(products[:4], GARMENTS, strict=False)))
    assert get_labels() == before
    assert not LabelChange.objects.filter(new_version_id=second.pk).exists()
    run = find_run()
    assert (run.state, run.done, run.missing, run.total) == ("done", 5, 1, 5)
    assert get_labels() == before
    promised = {row.product_id: row.becomes for row in run.products.all()}
    assert Counter(promised.values()) == {"One piece": 1, "Bottom part": 1, "Footwear": 1}
    activate(second)
    changed = {pk: group for pk, _, group, _ in get_labels() if group != "Bags"}
    assert changed == promised
    assert {row[2] for row in get_labels() if row[0] == products[4].pk} == {"Bags"}
    assert refresh_all_labels(dry_run=True)[1] == 0


def test_hosts_are_counted_and_what_is_no_address_stops_nothing() -> None:
    first, second = create_model_version(), create_model_version(stage="candidate")
    products = create_products(3)
    label_with(first, dict.fromkeys(products, "Bag"))
    run_shadow(second, dict.fromkeys(products, "Dress"))
    # As other programs may write them.
    for product, url in zip(products, ("https://shop.example/1.jpg", "http://[bad/2.jpg", "demo/3.png"), strict=True):
        image = product.product_images.get().image
        Image.objects.filter(pk=image.pk).update(url=url)
    assert find_run().by_host == {"shop.example": [1, 1]}


def test_a_shadow_that_fails_fails_no_product() -> None:
    create_model_version()
    second = create_model_version(stage="candidate")
    create_products(2)
    run_shadow(second, {})
    assert {status for _, status, _, _ in get_labels()} == {"pending"}
    assert refresh_all_labels(dry_run=True)[1] == 0
    bring_into_production(second)
    # From now on its failures are the catalogue's.
    refresh_all_labels()
    assert {status for _, status, _, _ in get_labels()} == {"failed"}


def test_a_sample_is_drawn_once_and_its_shares_have_intervals() -> None:
    first, second = create_model_version(), create_model_version(stage="candidate")
    products = create_products(40)
    for product in products[:10]:
        create_description(product, country_code="de")
    label_with(first, dict.fromkeys(products, "Bag"))
    shadow = run_shadow(second, dict.fromkeys(products, "Dress"), sample=32)
    assert (shadow.total, shadow.sampled.count()) == (32, 32)
    run = find_run()
    assert set(run.products.values_list("product_id", flat=True)) == set(
        shadow.sampled.values_list("product_id", flat=True)
    )
    impact = find_impact(second)
    assert impact is not None
    assert (impact.is_sampled, impact.changed.value, impact.changed.count) == (True, 1.0, 32)
    assert impact.changed.low is not None
    assert impact.changed.low < 0.95
    assert sum(number for _, (number, _) in run.by_country.items()) == len(
        {product.pk for product in products[:10]} & set(shadow.sampled.values_list("product_id", flat=True))
    )
    # No second one for the same shadow.
    assert start_due_impact_runs() == 0


def test_nineteen_in_twenty_samples_hold_what_the_whole_catalogue_would_change() -> None:
    generator = np.random.default_rng(16)
    held = []
    for share in (0.01, 0.05, 0.2, 0.5):
        found = generator.hypergeometric(int(100_000 * share), int(100_000 * (1 - share)), 2000, size=250)
        intervals = [measure_share(int(number), of=2000) for number in found]
        held += [of.low <= share <= of.high for of in intervals if of.low is not None and of.high is not None]
    assert len(held) == 1000
    assert 930 <= sum(held) <= 970


def test_activating_another_version_ends_shadows_and_keeps_their_pictures_off_runs() -> None:
    first, second, third = (create_model_version(stage=stage) for stage in ("production", "candidate", "candidate"))
    label_with(first, dict.fromkeys(create_products(2), "Bag"))
    shadow, own = start_labelling_run(shadow=second), start_labelling_run(shadow=third)
    bring_into_production(third)
    shadow.refresh_from_db()
    own.refresh_from_db()
    assert (shadow.state, shadow.shadow) == ("cancelled", True)
    assert (own.state, own.shadow) == ("running", False)
    assert AdoptionRun.objects.get().closed_runs == 0


def test_a_shadow_of_what_labels_follow_is_refused() -> None:
    active = create_model_version()
    with pytest.raises(ShadowError, match=r"Expected a version that is not in production; labels follow .*\."):
        start_labelling_run(shadow=active)
    assert not LabellingRun.objects.exists()


def test_a_key_stands_for_one_wish() -> None:
    create_model_version()
    second, third = (create_model_version(stage="candidate") for _ in range(2))
    run = start_labelling_run(shadow=second, sample=3, idempotency_key="k")
    assert start_labelling_run(shadow=second, sample=3, idempotency_key="k") == run
    for wish in ({"shadow": third, "sample": 3}, {"shadow": second}, {}):
        with pytest.raises(IdempotencyKeyError):
            start_labelling_run(idempotency_key="k", **wish)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wish, name",
    [
        ({"purpose": "shadow"}, "model_version"),
        ({"purpose": "shadow", "model_version": 2**40}, "model_version"),
        ({"purpose": "shadow", "model_version": "own", "limit": 3}, "limit"),
        ({"purpose": "shadow", "model_version": "own", "relabel": True}, "relabel"),
        ({"model_version": "own"}, "model_version"),
        ({"sample": 3}, "sample"),
        ({"purpose": "ghost"}, "purpose"),
    ],
)
def test_a_wish_that_contradicts_itself_is_refused(client: Client, wish: dict[str, Any], name: str) -> None:
    create_model_version()
    candidate = create_model_version(stage="candidate")
    client.force_login(create_member("add_labellingrun"))
    body = {key: candidate.pk if value == "own" else value for key, value in wish.items()}
    answer = client.post("/api/v1/labelling-runs/", body, content_type="application/json")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, [name])
    assert not LabellingRun.objects.exists()


def test_the_impact_is_read_over_http_and_on_its_pages(client: Client) -> None:
    first, second = create_model_version(), create_model_version(stage="candidate")
    products = create_products(3)
    label_with(first, dict.fromkeys(products, "Bag"))
    client.force_login(create_member("view_modelversion", "add_labellingrun", "view_labellingrun", "view_product"))
    address = f"/api/v1/model-versions/{second.pk}/impact/"
    assert client.get(address).status_code == 404
    assert b"Nobody asked it yet" in client.get(f"/model-versions/{second.pk}/impact/").content
    started = client.post(
        "/api/v1/labelling-runs/",
        {"purpose": "shadow", "model_version": second.pk},
        content_type="application/json",
    ).json()
    assert (started["purpose"], started["sample"], started["model_version"]) == ("shadow", None, second.name)
    assert cancel_labelling_run(LabellingRun.objects.get(pk=started["id"]))
    run_shadow(second, {products[0]: "Dress", products[1]: "Bag", products[2]: "Bag"})
    run = find_run()
    found = client.get(address).json()
    assert (found["products"], found["missing"], found["current"], found["changed"]["count"]) == (3, 0, True, 3)
    assert {(cell["was"], cell["becomes"], cell["products"]) for cell in found["cells"]} == {
        ("Bags", "Bags", 2),
        ("Bags", "One piece", 1),
    }
    page = client.get(f"/model-versions/{second.pk}/impact/").content.decode()
    assert f"/impact-runs/{run.pk}/products/?was=Bags&amp;becomes=One+piece" in page
    cell = client.get(f"/impact-runs/{run.pk}/products/", {"was": "Bags", "becomes": "One piece"}).content.decode()
    assert f"/products/{products[0].pk}/" in cell
    assert f"/products/{products[1].pk}/" not in cell
    for query in ({"was": "Hats", "becomes": "Bags"}, {"was": "Bags", "becomes": "Bags", "cursor": "x"}):
        assert client.get(f"/impact-runs/{run.pk}/products/", query).status_code == 404
    assert set(OUTCOMES) >= {"Bags", "needs_review", "pending"}

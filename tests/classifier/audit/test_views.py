"""The page that says how good the labels are here."""

import pytest
from django.test import Client

from classifier.audit import views
from classifier.audit.agreement import measure_reviewers
from classifier.audit.drawing import draw_round
from classifier.audit.selectors import list_unanswered
from classifier.ml.artefacts import DEFAULT_ARTEFACT, load_manifest
from classifier.ml.heads import Heads
from classifier.models import Review, Verdict
from classifier.reviews.services import record_review
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import create_member, sign_in

pytestmark = pytest.mark.django_db


def test_before_anything_is_known_the_page_says_so(client: Client) -> None:
    sign_in(client, "view_review")
    page = client.get("/accuracy/").content.decode()
    assert "No sample of the catalogue has been drawn yet" in page


def test_the_page_tells_the_audit_the_confusion_and_its_pictures(client: Client) -> None:
    version, reviewer = create_model_version(), create_member()
    products = [create_product(f"Thing {n}", images=[create_painted_image("Trouser")]) for n in range(31)]
    label_everything()
    audit = draw_round(version_id=version.pk, seed=1)
    for number, sample in enumerate(list_unanswered(audit).order_by("product_id")):
        said = (
            {"verdict": Verdict.NONE_OF_THESE} if number == 0 else {"group": "Bags" if number == 1 else "Bottom part"}
        )
        review = record_review(sample.image, reviewer=reviewer, **said)
        Review.objects.filter(pk=review.pk).update(blind=True, inclusion_probability=1.0)
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    sign_in(client, "view_review")
    response = client.get("/accuracy/", {"true": "Bags", "said": "Bottom part"})
    assert response.context["estimate"].accuracy.value == pytest.approx(29 / 31)
    assert response.context["answers"].startswith("Of 31 products drawn at random")
    ways = dict(response.context["ways"])
    assert ways["Answers alone"].startswith("93.5 %")
    assert ways["The model's confidence alone, which nobody checked"] == "90.0 %"
    rows = {name: ([cell.number for cell in cells], right) for name, cells, right in response.context["confusion"]}
    assert rows["Bottom part"] == ([0, 29, 0, 0, 0], "\N{EN DASH}")  # 29 are too few for a share
    assert rows["Bags"][0] == rows["None of these"][0] == [0, 1, 0, 0, 0]
    assert [product.pk for product, _ in response.context["pictures"]] == [products[1].pk]
    assert "People say Bags, the version says Bottom part" in response.content.decode()
    # What machines labelled and nobody reviewed, by confidence; the version has no files here, so no threshold.
    (histogram,) = response.context["histograms"]
    assert (histogram.group, sum(histogram.numbers), max(histogram.heights)) == ("Bags", 1, 1.0)
    assert histogram.sentence == "Its threshold is not known here."
    assert [numbers for _, numbers in response.context["confidences"]] == [[number] for number in histogram.numbers]
    # An address that names no cell shows none.
    assert not client.get("/accuracy/", {"true": "Hats", "said": "x"}).context["pictures"]


def test_a_sample_that_nobody_answered_yet_is_told_in_one_sentence(client: Client) -> None:
    version = create_model_version()
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    draw_round(version_id=version.pk, seed=0)
    sign_in(client, "view_review")
    page = client.get("/accuracy/").content.decode()
    assert "From 30 answers on the audit tells" in page
    assert "drawn at random and shown without their label" not in page


def test_the_histogram_shows_the_threshold_of_what_reviews_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    version = create_model_version()
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    calibration = load_manifest(DEFAULT_ARTEFACT).calibration_values()
    for heads, expected in (
        (Heads(calibration, threshold=0.83), 0.83),
        (Heads(calibration), calibration.thresholds["Bags"]),
    ):
        monkeypatch.setattr(views, "find_heads", lambda _, heads=heads: heads)
        assert [each.threshold for each in views.build_histograms(version)] == [expected]


def test_the_start_page_says_how_good_the_labels_are_here(client: Client) -> None:
    version = create_model_version()
    create_product(images=[create_painted_image("Trouser")])
    label_everything()
    assert "From 30 answers on the audit" not in client.get("/").content.decode()
    draw_round(version_id=version.pk, seed=1)
    page = client.get("/").content.decode()
    assert "From 30 answers on the audit" in page
    assert "/accuracy/" not in page
    sign_in(client, "view_review")
    assert "/accuracy/" in client.get("/").content.decode()


def test_a_blind_answer_is_compared_with_the_one_before_it_and_the_viewers_own_come_first() -> None:
    create_model_version()
    one, two, three = (create_member() for _ in range(3))
    images = [create_painted_image("Bag") for _ in range(32)]
    for image in images:
        create_product(images=[image])
    label_everything()

    def say(number: int, group: str, *, by: object, blind: bool = True) -> None:
        review = record_review(images[number], group=group, reviewer=by)
        Review.objects.filter(pk=review.pk).update(blind=blind)

    for number in range(31):
        say(number, "Bags", by=one, blind=False)
        say(number, "Bags" if number else "Footwear", by=two)
    say(0, "Bags", by=three)
    say(31, "Bags", by=one)
    say(31, "Footwear", by=three, blind=False)  # who saw a label says nothing of agreement
    say(1, "Footwear", by=two)  # nor does who looks twice
    agreements = measure_reviewers(three.pk)
    assert [pair.names for pair in agreements.pairs] == [(two.username, three.username), (one.username, two.username)]
    first, second = (pair.agreement.raw for pair in agreements.pairs)
    assert (first.count, first.value) == (1, None)
    assert (second.count, second.value) == (31, pytest.approx(30 / 31))
    assert agreements.overall.raw.count == 32
    assert agreements.groups["Bags"].count == 32

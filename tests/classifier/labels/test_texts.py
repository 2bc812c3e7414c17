"""What products' texts say: stored with the catalogue's writes, judged by country, and counted in labels."""

from typing import Any

import pytest
from django.db import transaction

from catalog.labels import refresh_labels
from catalog.models import Product, ProductDescription, ProductLabel
from classifier.labels import precision as precisions
from classifier.labels.precision import (
    ENOUGH_PICTURES,
    ENOUGH_REVIEWS,
    estimate_precision,
    refresh_precisions,
    settle_texts,
)
from classifier.labels.texts import read_product_texts
from classifier.labels.walk import refresh_all_labels
from classifier.models import Classification, LabelChange, TextEvidence, TextPrecision
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

HALF = {"us": ("Cosy and warm", None)}


def let_texts_vote(country: str = "us") -> None:
    TextPrecision.objects.create(country=country, precision=1.0, has_vote=True)


def read_label(product: Product) -> tuple[str, str, str, str]:
    label = ProductLabel.objects.get(product=product)
    return label.status, label.group, label.reason, label.evidence


def test_what_texts_say_is_stored_when_a_product_is_written() -> None:
    product = create_product("Sommerkleid mit Gürtel", descriptions={"de": ("Für den Sommer", None)})
    with transaction.atomic():
        refresh_labels([product.pk])

    evidence = TextEvidence.objects.get(product=product)
    assert (evidence.verdict, evidence.group, evidence.garment, evidence.score) == ("group", "One piece", "Dress", 1.0)
    assert evidence.words == [["Sommerkleid", "de", "title", "One piece"]]
    assert (evidence.country, len(bytes(evidence.sha256))) == ("de", 32)


def test_the_markup_of_a_description_says_nothing() -> None:
    said = read_product_texts("Series 12", [("us", '<p class="dress">A <b>skirt</b><br>with a belt</p>', None)])

    assert (said.group, [word.word for word in said.words]) == ("Bottom part", ["skirt"])


def test_texts_are_read_again_when_they_change_and_only_then(monkeypatch: pytest.MonkeyPatch) -> None:
    product = create_product("Linen shirt", descriptions=HALF)
    with transaction.atomic():
        refresh_labels([product.pk])
    before = TextEvidence.objects.get(product=product)
    with monkeypatch.context() as patched, transaction.atomic():
        patched.setattr("classifier.labels.texts.read_texts", None)
        refresh_labels([product.pk])

    Product.objects.filter(pk=product.pk).update(title="Series 12")
    ProductDescription.objects.filter(product=product).update(original_text="A skirt for summer.")
    # Another program wrote this: the walk finds it.
    refresh_all_labels()

    after = TextEvidence.objects.get(product=product)
    assert (before.group, after.group, after.score) == ("Upper part", "Bottom part", 0.5)
    assert bytes(before.sha256) != bytes(after.sha256)


def test_texts_with_a_vote_decide_what_the_picture_is_not_sure_of() -> None:
    create_model_version()
    let_texts_vote()
    sure = create_product("Leather bag", images=[create_painted_image("Bag")], descriptions=HALF)
    wrong = create_product("Summer dress", images=[create_painted_image("Bag")], descriptions=HALF)
    belt = create_product("Leather belt", images=[create_painted_image("Bag")], descriptions=HALF)
    silent = create_product("Series 12", images=[create_painted_image("Bag")], descriptions=HALF)
    elsewhere = create_product("Silk dress", images=[create_painted_image("Bag")])
    label_everything()

    assert read_label(sure) == ("labelled", "Bags", "", "both")
    assert read_label(wrong) == ("needs_review", "One piece", "disagreement", "text")
    assert read_label(belt) == ("none_of_these", "", "", "text")
    assert read_label(silent) == ("labelled", "Bags", "", "")
    assert read_label(elsewhere) == ("labelled", "Bags", "", "")
    assert refresh_all_labels(dry_run=True) == (5, 0)


def test_a_change_by_texts_names_their_hash() -> None:
    create_model_version()
    let_texts_vote()
    product = create_product("Leather belt", images=[create_painted_image("Bag")], descriptions=HALF)
    label_everything()

    change = LabelChange.objects.get(product_id=product.pk)
    assert (change.new_status, change.new_evidence) == ("none_of_these", "text")
    assert bytes(change.texts_sha256) == bytes(TextEvidence.objects.get(product=product).sha256)
    assert change.new_words == "none of these, by its texts"


def test_a_new_title_decides_anew() -> None:
    create_model_version()
    let_texts_vote()
    product = create_product("Leather belt", images=[create_painted_image("Bag")], descriptions=HALF)
    label_everything()
    with transaction.atomic():
        Product.objects.filter(pk=product.pk).update(title="Belt bag")
        refresh_labels([product.pk])

    assert read_label(product) == ("labelled", "Bags", "", "both")


@pytest.mark.parametrize(
    "figures, precision",
    [
        ({"reviewed": ENOUGH_REVIEWS, "right": 27, "sure": 500, "agreed": 500, "mean_confidence": 0.98}, 0.9),
        ({"reviewed": ENOUGH_REVIEWS - 1, "sure": ENOUGH_PICTURES, "agreed": 96, "mean_confidence": 0.96}, 1.0),
        ({"sure": 200, "agreed": 147, "mean_confidence": 0.98}, 0.75),
        ({"sure": 200, "agreed": 200, "mean_confidence": 0.98}, 1.0),
        ({"sure": ENOUGH_PICTURES - 1, "agreed": 99, "mean_confidence": 0.98}, None),
        ({}, None),
    ],
)
def test_reviews_say_how_often_texts_are_right_or_else_sure_pictures(
    figures: dict[str, Any], precision: float | None
) -> None:
    none = {"reviewed": 0, "right": 0, "sure": 0, "agreed": 0, "mean_confidence": None}

    assert estimate_precision(**none | figures) == pytest.approx(precision)


def test_a_vote_won_or_lost_decides_labels_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifier.labels.precision.ENOUGH_PICTURES", 2)
    version = create_model_version()
    right = [create_product("Bag", images=[create_painted_image("Bag")], descriptions=HALF) for _ in range(2)]
    belt = create_product("Leather belt", images=[create_painted_image("Bag")], descriptions=HALF)
    label_everything()
    Classification.objects.update(confidence=0.99)
    assert [read_label(product)[3] for product in right] == ["", ""]

    assert refresh_precisions() == ["us"]
    assert refresh_precisions() == []
    precision = TextPrecision.objects.get()
    assert (precision.sure, precision.agreed, precision.precision) == (2, 2, 1.0)
    settle_texts(seconds=10)

    assert [read_label(product) for product in right] == [("labelled", "Bags", "", "both")] * 2
    assert read_label(belt) == ("none_of_these", "", "", "text")
    assert LabelChange.objects.filter(product_id=belt.pk).latest("pk").why == LabelChange.Why.TEXTS

    for product in right:
        with transaction.atomic():
            Product.objects.filter(pk=product.pk).update(title="Summer dress")
            refresh_labels([product.pk])
    # What titles taught says nothing of titles.
    with monkeypatch.context() as patched:
        patched.setattr("classifier.labels.precision.TAUGHT_BY_TITLES", version.recipe)
        assert refresh_precisions() == []
        assert TextPrecision.objects.get().agreed == 2
        # Nor does it once another version is in production.
        assert precisions._count_pictures() == {}
    assert precisions._count_pictures()["us"]["agreed"] == 0
    assert refresh_precisions() == ["us"]
    settle_texts(seconds=10)
    assert {read_label(product)[3] for product in right} == {""}

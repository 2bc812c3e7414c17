"""What pages say of a product's texts."""

import pytest
from django.test import Client

from classifier.evidence.words import WordsPage, mark_words
from classifier.labels.reads import ProductTexts
from classifier.labels.texts import read_product_texts
from classifier.models import TextPrecision
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything


def _say(title: str, *countries: str, precision: TextPrecision | None = None) -> WordsPage:
    reading = read_product_texts(title, [(country, None, None) for country in countries])
    return WordsPage(ProductTexts(reading=reading, precision=precision))


@pytest.mark.parametrize(
    "title, countries, sentence",
    [
        ("Sommerkleid", ["de"], "The title says “Sommerkleid” (German), which is One piece, Dress."),
        ("Denim jacket", [], "The title says “jacket” (English), which is Upper part."),
        ("Leather belt", [], "The title says “belt” (English), which is none of the five groups."),
        (
            "Blouse and skirt",
            [],
            "The title says more than one thing: “Blouse” (English) is Upper part; “skirt” (English) is Bottom part.",
        ),
        ("Trouser suit", [], "The title says more than one thing: “Trouser suit” (English) is of no one group."),
        ("Series 12", ["de"], ""),
    ],
)
def test_a_sentence_says_what_texts_say(title: str, countries: list[str], sentence: str) -> None:
    assert _say(title, *countries).sentence == sentence


def test_a_sentence_says_how_much_they_count() -> None:
    reviewed = TextPrecision(country="us", precision=0.984, has_vote=True, reviewed=61, right=60)
    sure = TextPrecision(country="", precision=0.9, has_vote=False, sure=120, agreed=105)

    assert _say("Linen shirt", precision=reviewed).weight == (
        "Texts of products sold in US are right in 98.4 % of 61 reviewed ones: they have a vote."
    )
    assert _say("Linen shirt", precision=sure).weight == (
        "Texts of products without a country are right in 90.0 % as 120 sure pictures say: "
        "they move the confidence alone."
    )
    assert "is not known yet" in _say("Linen shirt").weight
    assert _say("Series 12").weight == ""


def test_words_are_marked_where_they_stand_as_a_whole() -> None:
    assert mark_words("Dress, <b>dress</b> & Dressing", {"Dress"}) == (
        "<mark>Dress</mark>, &lt;b&gt;dress&lt;/b&gt; &amp; Dressing"
    )
    assert mark_words("a < b", set()) == "a &lt; b"
    assert mark_words("blue_dress_shirt", {"dress shirt"}) == "blue_<mark>dress_shirt</mark>"
    assert mark_words("sac à dos et sac", {"sac", "sac à dos"}) == "<mark>sac à dos</mark> et <mark>sac</mark>"


@pytest.mark.django_db
def test_a_products_page_marks_the_words_and_says_what_disagrees(client: Client) -> None:
    create_model_version()
    TextPrecision.objects.create(country="us", precision=1.0, has_vote=True)
    descriptions = {"us": ("Cosy <i>and</i> warm", None)}
    product = create_product("Summer dress", images=[create_painted_image("Bag")], descriptions=descriptions)
    label_everything()

    page = client.get(f"/products/{product.pk}/").text
    label = client.get(f"/api/v1/products/{product.pk}/").json()["label"]

    assert "Summer <mark>dress</mark>" in page
    assert "Title says dress, picture looks like Bag (Bags, 90.0 % sure)." in page
    assert "The title says “dress” (English), which is One piece, Dress." in page
    assert (label["status"], label["reason"], label["evidence"]) == ("needs_review", "disagreement", "text")

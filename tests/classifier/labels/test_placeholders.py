"""Placeholders: the same bytes shown first by many unlike products, and one answer for all of these."""

from collections.abc import Sequence

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db.models.functions import Now

from catalog.labels import refresh_labels
from catalog.models import Image, Product, ProductImages, ProductLabel, StoredPicture
from classifier.labels.placeholders import answer_suspects, are_unlike, review_suspects, settle_labels, split_words
from classifier.labels.walk import refresh_all_labels, walk_labels
from classifier.models import LabelChange, LabelWalk, SuspectedPicture
from classifier.reviews.services import record_review, withdraw_reviews
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.placeholders import UNLIKE, show_placeholder

pytestmark = pytest.mark.django_db

BAG = ("labelled", "Bags", "")
PLACEHOLDER = ("needs_review", "", "placeholder")


@pytest.fixture(autouse=True)
def _version() -> None:
    create_model_version()


@pytest.fixture
def member() -> User:
    return User.objects.create_user("member")


def get_labels(products: Sequence[Product] | None = None) -> set[tuple[str, str, str]]:
    """The labels of these products, or of all, each once."""
    labels = ProductLabel.objects.all() if products is None else ProductLabel.objects.filter(product__in=products)
    return set(labels.values_list("status", "group", "reason"))


def walk_round() -> None:
    """Do a round of the walk as the worker's sweeps do, without its rests."""
    for _ in range(2):
        walk_labels()
        LabelWalk.objects.update(next_step_at=Now())


@pytest.mark.parametrize(
    "title,words",
    [
        ("Robe d'été \u2013 ROUGE, d\u2019ete", {"robe", "dété", "rouge", "dete"}),
        ("Straße STRASSE Ｔ恤", {"strasse", "t", "恤"}),
        ("Sh\u200birt e\u0301te", {"shirt", "éte"}),
        ("कमीज़ Nº 5", {"कमीज़", "no", "5"}),
        ("红色连衣裙 Nike鞋", {"红色", "色连", "连衣", "衣裙", "nike", "鞋"}),
        (" \u2013 100% ", {"100"}),
        ("", set()),
    ],
)
def test_words_are_those_of_any_language_without_case(title: str, words: set[str]) -> None:
    assert split_words(title) == words


@pytest.mark.parametrize(
    "titles,unlike",
    [
        (["Shirt red", "Coat", "shirt", "Bag"], False),
        (["Shirt red shirt", "Coat", "Hat", "shirt", "Bag"], True),
        (["红色连衣裙", "蓝色连衣裙", "白色鞋"], False),
        ([""] * 20, True),
        ([], False),
    ],
)
def test_titles_are_unlike_unless_half_of_them_have_a_word(titles: list[str], unlike: bool) -> None:
    assert are_unlike(titles) is unlike


@pytest.mark.parametrize("addresses", [1, 10, 20])
def test_the_same_bytes_of_twenty_unlike_products_give_no_label(addresses: int) -> None:
    products = show_placeholder(addresses=addresses)
    other = create_product(UNLIKE[0], images=[create_painted_image("Dress")])
    label_everything()
    assert get_labels(products) == {BAG}
    walk_round()
    assert get_labels(products) == {PLACEHOLDER}
    assert get_labels([other]) == {("labelled", "One piece", "")}
    suspect = SuspectedPicture.objects.get()
    assert (suspect.products, suspect.answer, suspect.labels_after) == (20, "", None)
    assert ProductLabel.objects.get(product=products[0]).labelled_at == suspect.found_at
    change = LabelChange.objects.filter(product_id=products[0].pk).latest("pk")
    assert (change.why, change.old_words, change.new_words) == ("suspected", "Bags, Bag (labelled)", "needs review")
    assert refresh_all_labels() == (21, 0)


@pytest.mark.parametrize(
    "titles",
    [UNLIKE[:19], [f"{title} shirt" if n < 10 else title for n, title in enumerate(UNLIKE)], ["One title"] * 20],
    ids=["nineteen", "half of them shirts", "one product twenty times"],
)
def test_a_picture_of_few_or_alike_products_is_one(titles: list[str]) -> None:
    show_placeholder(titles)
    label_everything()
    refresh_all_labels()
    assert get_labels() == {BAG}
    assert not SuspectedPicture.objects.exists()


def test_only_the_first_picture_counts_and_only_of_its_present_address() -> None:
    products = show_placeholder(addresses=20)
    label_everything()
    ProductImages.objects.filter(product=products[0]).update(image_index=1)
    refresh_all_labels()
    assert not SuspectedPicture.objects.exists()
    ProductImages.objects.filter(product=products[0]).update(image_index=0)
    Image.objects.filter(product_images__product=products[0]).update(url="https://shop.example/another.jpg")
    refresh_all_labels()
    assert not SuspectedPicture.objects.exists()


def test_a_dry_run_suspects_nobody() -> None:
    show_placeholder()
    label_everything()
    assert refresh_all_labels(dry_run=True) == (20, 0)
    assert not SuspectedPicture.objects.exists()
    call_command("refresh_labels", verbosity=0)
    assert get_labels() == {PLACEHOLDER}


def test_the_twentieth_product_and_those_after_it_may_come_later() -> None:
    show_placeholder(UNLIKE[:19])
    image = Image.objects.get()
    label_everything()
    walk_round()
    assert get_labels() == {BAG}
    create_product(UNLIKE[19], images=[image])
    walk_round()
    assert get_labels() == {PLACEHOLDER}
    later = create_product("At once", images=[image])
    assert get_labels([later]) == {PLACEHOLDER}


def test_a_suspect_that_fewer_products_show_is_none_any_more() -> None:
    products = show_placeholder()
    label_everything()
    walk_round()
    ProductImages.objects.filter(product=products[0]).update(image=create_painted_image("Dress"))
    refresh_labels([products[0].pk])
    walk_round()
    assert get_labels(products[1:]) == {BAG}
    assert not SuspectedPicture.objects.exists()
    assert LabelChange.objects.filter(product_id=products[1].pk).latest("pk").why == "suspected"


def test_the_number_of_products_is_counted_again() -> None:
    show_placeholder()
    label_everything()
    walk_round()
    create_product("Another", images=[Image.objects.get()])
    walk_round()
    assert SuspectedPicture.objects.get().products == 21


@pytest.mark.parametrize("answer,label", [("picture", BAG), ("ignore", PLACEHOLDER)])
def test_one_answer_holds_for_all_products_and_for_good(member: User, answer: str, label: tuple[str, str, str]) -> None:
    products = show_placeholder(addresses=20)
    label_everything()
    walk_round()
    ids = [SuspectedPicture.objects.get().pk]
    assert answer_suspects(ids, answer=answer, user=member) == 1
    suspect = SuspectedPicture.objects.get()
    assert (suspect.answer, suspect.answered_by, suspect.labels_after) == (answer, member, None)
    assert get_labels() == {label}
    # Nobody answers twice, nor otherwise; products go and come, and nobody is asked again.
    other = User.objects.create_user("other")
    assert answer_suspects(ids, answer=answer, user=other) == 1
    assert answer_suspects(ids, answer="ignore" if answer == "picture" else "picture", user=other) == 0
    Product.objects.filter(pk__in=[product.pk for product in products[10:]]).delete()
    walk_round()
    walk_round()
    assert SuspectedPicture.objects.get().answered_by == member
    assert get_labels() == {label}
    # But on purpose.
    assert answer_suspects(ids, answer="picture", user=other, again=True) == 1
    assert get_labels() == {BAG}


def test_the_history_says_that_a_person_answered(member: User) -> None:
    (product, *_) = show_placeholder()
    label_everything()
    walk_round()
    answer_suspects([SuspectedPicture.objects.get().pk], answer="picture", user=member)
    assert list(LabelChange.objects.filter(product_id=product.pk).order_by("pk").values_list("why", flat=True)) == [
        "classified",
        "suspected",
        "answered",
    ]


def test_a_review_wins_before_and_after_and_a_reviewed_picture_is_no_suspect(member: User) -> None:
    show_placeholder(addresses=20)
    label_everything()
    review = record_review(Image.objects.first(), group="Footwear", reviewer=member)
    walk_round()
    assert not SuspectedPicture.objects.exists()
    withdraw_reviews(type(review).objects.all())
    walk_round()
    assert get_labels() == {PLACEHOLDER}
    record_review(Image.objects.first(), group="Footwear", reviewer=member)
    assert get_labels() == {("reviewed", "Footwear", "")}


def test_labels_are_settled_behind_where_it_was_interrupted(member: User) -> None:
    products = show_placeholder()
    label_everything()
    walk_round()
    SuspectedPicture.objects.update(answer="picture", labels_after=products[9].pk)
    assert settle_labels(seconds=0.0) == 0
    assert settle_labels(seconds=10.0) == 10
    assert (get_labels(products[:10]), get_labels(products[10:])) == ({PLACEHOLDER}, {BAG})
    assert settle_labels(seconds=10.0) == 0


def test_nothing_is_kept_by_a_suspicion() -> None:
    show_placeholder()
    label_everything()
    walk_round()
    Product.objects.all().delete()
    Image.objects.all().delete()
    assert not StoredPicture.objects.exists()
    assert review_suspects() == 0
    assert not SuspectedPicture.objects.exists()

"""Similar products: the nearest pictures of one model version, one result a product; over HTTP and on the pages."""

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from catalog.models import Image, Product, StoredPicture
from classifier.features import memory
from classifier.features.neighbours import find_similar_products
from classifier.models import ModelVersion, PictureFeatures
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import create_labelled_product, label_everything

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture(autouse=True)
def _forgetful(settings: Any) -> None:
    """Nothing in memory of other tests, and a look at the table with every call."""
    memory.forget_features()
    settings.SIMILAR_REFRESH_SECONDS = 0.0


@pytest.fixture
def version() -> ModelVersion:
    return create_model_version()


def build_vector(degrees: float) -> bytes:
    """Features in the plane of the first two numbers; their length is not 1."""
    vector = np.zeros(64, "<f2")
    vector[:2] = 3 * np.cos(np.radians(degrees)), 3 * np.sin(np.radians(degrees))
    return vector.tobytes()


def see(image: Image, version: ModelVersion, *, degrees: float, features: bytes | None = None) -> PictureFeatures:
    """Record what the version's base sees in the image's picture, which is another one from now on."""
    sha256 = f"{StoredPicture.objects.count():056x}{image.pk:08x}"
    picture = {"url": image.url, "sha256": sha256, "width": 60, "height": 80, "fetched_at": timezone.now()}
    StoredPicture.objects.update_or_create(image=image, defaults=picture)
    return PictureFeatures.objects.create(
        base=version.base,
        sha256=bytes.fromhex(sha256),
        features=build_vector(degrees) if features is None else features,
        logits=bytes(20),
        blank=False,
        canonical=False,
        views=1,
    )


def create_seen_product(version: ModelVersion, *degrees: float) -> Product:
    """A product with a picture for each of the angles."""
    product = create_product(images=[create_image() for _ in degrees])
    for placement, angle in zip(product.product_images.order_by("image_index"), degrees, strict=True):
        see(placement.image, version, degrees=angle)
    return product


def list_similar(product: Product, *, limit: int = 10) -> list[tuple[int, float]]:
    return [(row.product.pk, row.similarity) for row in find_similar_products(product.pk, limit=limit)]


def expect(*expected: tuple[Product, float]) -> list[tuple[int, Any]]:
    """What a list of (product, degrees between the pictures) should be."""
    return [(product.pk, pytest.approx(np.cos(np.radians(degrees)), abs=1e-3)) for product, degrees in expected]


def test_the_nearest_pictures_come_first_and_the_product_itself_is_left_out(version: ModelVersion) -> None:
    asked = create_seen_product(version, 0)
    far, near, middle = (create_seen_product(version, angle) for angle in (70, -10, 40))
    assert list_similar(asked) == expect((near, 10), (middle, 40), (far, 70))
    assert list_similar(asked, limit=2) == expect((near, 10), (middle, 40))


def test_a_product_is_there_once_with_its_nearest_picture(version: ModelVersion) -> None:
    asked = create_seen_product(version, 0, 80)
    several = create_seen_product(version, 60, 20, 30)
    single = create_seen_product(version, 25)
    assert list_similar(asked) == expect((several, 20), (single, 25))


def test_pictures_that_point_away_have_similarity_0(version: ModelVersion) -> None:
    asked, opposite = create_seen_product(version, 0), create_seen_product(version, 170)
    assert list_similar(asked) == [(opposite.pk, 0.0)]


def test_only_what_the_base_in_production_saw_is_compared(version: ModelVersion) -> None:
    other = create_model_version(stage=ModelVersion.Stage.RETIRED)
    asked, same = create_seen_product(version, 0), create_seen_product(version, 30)
    unlike = create_seen_product(other, 0)
    assert list_similar(asked) == expect((same, 30))
    assert list_similar(unlike) == []
    # Another version of the same base sees the same.
    ModelVersion.objects.filter(pk=version.pk).update(stage=ModelVersion.Stage.RETIRED)
    create_model_version(base=version.base)
    assert list_similar(asked) == expect((same, 30))


def test_the_picture_that_is_held_now_counts(version: ModelVersion) -> None:
    asked, moved = create_seen_product(version, 0), create_seen_product(version, 5)
    assert list_similar(asked) == expect((moved, 5))
    see(moved.product_images.get().image, version, degrees=50)
    assert list_similar(asked) == expect((moved, 50))
    # What was got from another address than the image's is not its picture.
    StoredPicture.objects.filter(image=moved.product_images.get().image).update(url="https://shop.example/former.jpg")
    assert list_similar(asked) == []
    assert list_similar(moved) == []


def test_a_picture_without_features_is_passed_over(version: ModelVersion) -> None:
    asked = create_product(images=[create_image(), create_image()])
    placements = asked.product_images.order_by("image_index")
    see(placements[1].image, version, degrees=10)
    near, other_size = create_seen_product(version, 20), create_seen_product(version, 10)
    PictureFeatures.objects.filter(
        sha256=bytes.fromhex(other_size.product_images.get().image.stored_picture.sha256)
    ).update(features=bytes(6))
    assert list_similar(asked) == expect((near, 10))


def test_a_row_that_has_got_another_size_is_passed_over(version: ModelVersion) -> None:
    asked, near, changed = (create_seen_product(version, degrees) for degrees in (0, 20, 10))
    assert list_similar(asked) == expect((changed, 10), (near, 20))
    picture = changed.product_images.get().image.stored_picture
    PictureFeatures.objects.filter(sha256=bytes.fromhex(picture.sha256)).update(features=bytes(6))
    assert list_similar(asked) == expect((near, 20))


def test_what_is_alike_but_for_a_rounding_comes_in_its_order(version: ModelVersion) -> None:
    draws = np.random.default_rng(1).normal(size=(40, 64))
    vectors = (draws[:1] + 1e-2 * draws).astype("<f2")
    products = [create_product(images=[create_image()]) for _ in vectors]
    for product, vector in zip(products, vectors, strict=True):
        see(product.product_images.get().image, version, degrees=0, features=vector.tobytes())
    units = vectors.astype(float) / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)
    order = np.argsort(-(units @ units[3]))
    assert order[0] == 3
    found = [similar.product.pk for similar in find_similar_products(products[3].pk, limit=5)]
    assert found == [products[place].pk for place in order[1:6]]


def test_features_without_direction_are_like_nothing(version: ModelVersion) -> None:
    asked, blind = create_seen_product(version, 0), create_product(images=[create_image()])
    see(blind.product_images.get().image, version, degrees=0, features=np.full(64, np.nan, "<f2").tobytes())
    assert list_similar(asked) == [(blind.pk, 0.0)]
    assert list_similar(blind) == []


def test_products_that_share_a_picture_are_equals_of_each_other(version: ModelVersion) -> None:
    image = create_image()
    twins = [create_product(images=[image]) for _ in range(5)]
    see(image, version, degrees=0)
    other = create_seen_product(version, 10)
    assert [pk for pk, _ in list_similar(twins[2], limit=3)] == [twins[0].pk, twins[1].pk, twins[3].pk]
    assert list_similar(other, limit=2) == expect((twins[0], 10), (twins[1], 10))


def test_one_product_with_many_pictures_does_not_hide_the_others(version: ModelVersion) -> None:
    asked = create_seen_product(version, 0)
    crowd = create_seen_product(version, *[1 + number / 100 for number in range(40)])
    others = [create_seen_product(version, angle) for angle in (20, 30)]
    assert list_similar(asked, limit=3) == expect((crowd, 1), (others[0], 20), (others[1], 30))


def test_a_product_without_picture_or_features_has_none(version: ModelVersion) -> None:
    create_seen_product(version, 0)
    assert list_similar(create_product()) == []
    assert list_similar(create_product(images=["demo/1.png"])) == []


def test_without_a_version_in_production_nothing_is_similar(version: ModelVersion) -> None:
    asked, _ = create_seen_product(version, 0), create_seen_product(version, 10)
    ModelVersion.objects.update(stage=ModelVersion.Stage.RETIRED)
    assert list_similar(asked) == []


def test_what_was_deleted_is_not_found(version: ModelVersion) -> None:
    asked, gone, stays = (create_seen_product(version, angle) for angle in (0, 10, 20))
    assert list_similar(asked) == expect((gone, 10), (stays, 20))
    gone.product_images.get().image.delete()
    assert list_similar(asked) == expect((stays, 20))


def test_features_are_read_anew_when_most_of_the_nearest_are_gone(version: ModelVersion) -> None:
    asked, near, *_ = (create_seen_product(version, angle) for angle in (0, 5, 10, 11, 12, 13))
    list_similar(asked)
    (before,) = memory._loaded.values()
    PictureFeatures.objects.filter(pk__in=before.matrix.ids[2:].tolist()).delete()
    assert list_similar(asked) == expect((near, 5))
    assert memory._loaded == {}
    assert list_similar(asked) == expect((near, 5))
    (after,) = memory._loaded.values()
    assert len(after.matrix.ids) == 2


def test_labelling_stores_what_is_compared() -> None:
    create_model_version()
    asked, other = (create_product(images=[create_painted_image()]) for _ in range(2))
    label_everything()
    assert list_similar(asked) == expect((other, 0))


def test_the_number_of_queries_does_not_grow(version: ModelVersion, settings: Any, django_assert_num_queries) -> None:
    products = [create_seen_product(version, angle, angle + 1) for angle in range(0, 60, 3)]
    list_similar(products[0])
    settings.SIMILAR_REFRESH_SECONDS = 60.0
    list_similar(products[1])
    with django_assert_num_queries(6):
        assert len(list_similar(products[2], limit=15)) == 15


def test_many_new_features_are_read_beside_the_answer(version: ModelVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, near, far = (create_seen_product(version, angle) for angle in (0, 10, 20))
    threads: list[Callable[[], None]] = []

    def start_later(*, target: Callable[..., None], **_options: Any) -> Any:
        return SimpleNamespace(start=lambda: threads.append(target))

    monkeypatch.setattr(memory, "CHUNK_ROWS", 1)
    monkeypatch.setattr(threading, "Thread", start_later)
    # The thread's end would close the connection that is the test's.
    monkeypatch.setattr(connection, "close", lambda: None)
    assert list_similar(asked) == []
    (read_on,) = threads
    read_on()
    assert list_similar(asked) == expect((near, 10), (far, 20))
    assert len(threads) == 1


def test_the_api_gives_the_fields_of_the_list_and_the_similarity(version: ModelVersion, client: Client) -> None:
    asked, near = create_seen_product(version, 0), create_seen_product(version, 60)
    listed = {row["id"]: row for row in client.get("/api/v1/products/").json()["results"]}
    similar = client.get(f"/api/v1/products/{asked.pk}/similar/", {"limit": 1, "country": "us"}).json()
    assert similar == [{**listed[near.pk], "similarity": pytest.approx(0.5, abs=1e-3)}]


def test_the_api_gives_twelve_unless_asked_for_others(version: ModelVersion, client: Client) -> None:
    asked, *_ = [create_seen_product(version, number / 10) for number in range(20)]
    address = f"/api/v1/products/{asked.pk}/similar/"
    assert len(client.get(address).json()) == 12
    assert len(client.get(address, {"limit": 100}).json()) == 19
    assert client.get(f"/api/v1/products/{create_product().pk}/similar/").json() == []


@pytest.mark.parametrize(
    "parameters", [{"limit": 0}, {"limit": 101}, {"limit": "all"}, {"group": "Bags"}, {"country": "\0"}]
)
def test_the_api_refuses_what_it_does_not_know(parameters: dict[str, Any], client: Client) -> None:
    response = client.get(f"/api/v1/products/{create_product().pk}/similar/", parameters)
    assert (response.status_code, list(response.json()["errors"])) == (400, list(parameters))


def test_similar_products_of_a_product_that_is_not_there_are_not_found(client: Client) -> None:
    response = client.get("/api/v1/products/4711/similar/")
    assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")
    assert client.get("/products/4711/similar/").status_code == 404


def test_the_page_of_a_product_leads_to_similar_ones(version: ModelVersion, client: Client) -> None:
    asked, near = create_seen_product(version, 0), create_seen_product(version, 60)
    assert f'href="/products/{asked.pk}/similar/"' in client.get(f"/products/{asked.pk}/").content.decode()
    page = client.get(f"/products/{asked.pk}/similar/").content.decode()
    part = client.get(f"/products/{asked.pk}/similar/?fragment").content.decode()
    for text in (page, part):
        assert f'href="/products/{near.pk}/"' in text
        assert "50.0 % alike" in text
    assert ("<html" in page, "<html" in part) == (True, False)


def test_the_page_says_why_there_is_nothing_similar(client: Client) -> None:
    product = create_labelled_product()
    assert "There is nothing to compare yet" in client.get(f"/products/{product.pk}/similar/?fragment").content.decode()
    assert "/similar/" not in client.get(f"/products/{create_product().pk}/").content.decode()

"""Pictures and people's labels over HTTP: classify one, review one."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.http import HttpResponse
from django.test import Client
from PIL import Image as PillowImage

from catalog.models import Image, ProductLabel
from classifier.ml.artefacts import NETWORK_FILE
from classifier.models import Classification, Review
from classifier.registry.runtime import get_classifier
from classifier.registry.services import get_artefact_folder
from tests.support.artefacts import register_active_version
from tests.support.factories import create_product
from tests.support.members import build_token_header, create_member, sign_in

pytestmark = pytest.mark.django_db

CLASSIFY = "/api/v1/classify/"
REVIEWS = "/api/v1/reviews/"


@pytest.fixture(autouse=True)
def artefacts_folder(settings, tmp_path: Path) -> None:
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"


def draw_png() -> bytes:
    """A dark block on white, as bytes of a PNG."""
    pixels = np.full((64, 64, 3), 255, dtype=np.uint8)
    pixels[8:56, 20:44] = 40
    buffer = io.BytesIO()
    PillowImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def classify(client: Client, data: bytes, *, name: str = "shirt.png", **headers: str) -> HttpResponse:
    return client.post(CLASSIFY, {"picture": SimpleUploadedFile(name, data)}, headers=headers)


def test_a_picture_is_classified_as_the_command_does(client: Client, tmp_path: Path) -> None:
    register_active_version()
    sign_in(client, "view_classification")
    response = classify(client, draw_png())
    path = tmp_path / "shirt.png"
    path.write_bytes(draw_png())
    output = io.StringIO()
    call_command("classify", "--json", str(path), stdout=output)
    (expected,) = json.loads(output.getvalue())
    assert (response.status_code, response.json()) == (200, [expected | {"path": "shirt.png"}])
    assert list(response.json()[0]) == list(expected)
    assert not Classification.objects.exists()
    assert not Image.objects.exists()


@pytest.mark.parametrize(
    "data, code", [(b"", "not_image"), (b"text", "not_image"), (draw_png()[:100], "truncated"), (b"%PDF-1.7", None)]
)
def test_a_picture_that_cannot_be_read_has_a_code(client: Client, data: bytes, code: str | None) -> None:
    register_active_version()
    sign_in(client, "view_classification")
    (row,) = classify(client, data, name="../../etc/passwd").json()
    assert row["path"] == "passwd"
    assert row["error"] in ({code} if code else {"not_image", "format_not_allowed"})
    assert {row[name] for name in row if name not in ("path", "error")} == {None}


def test_a_body_larger_than_any_picture_is_refused_before_it_is_read(client: Client) -> None:
    register_active_version()
    sign_in(client, "view_classification")
    response = classify(client, bytes(11 * 1024 * 1024))
    assert (response.status_code, response.headers["Content-Type"]) == (413, "application/problem+json")
    (row,) = classify(client, draw_png() + bytes(10 * 1024 * 1024 - len(draw_png()) + 1)).json()
    assert row["error"] == "too_large"


def test_something_else_than_one_picture_is_refused(client: Client) -> None:
    sign_in(client, "view_classification")
    two = [SimpleUploadedFile("a.png", draw_png()), SimpleUploadedFile("b.png", draw_png())]
    for form in ({}, {"picture": "text"}, {"picture": two}, {"image": two[0]}):
        response = client.post(CLASSIFY, form)
        assert response.status_code == 400
        assert list(response.json()["errors"]) == ["picture"]
    assert client.post(CLASSIFY, b"{}", content_type="application/json").status_code == 415
    assert client.post(CLASSIFY, b"x", content_type="multipart/form-data").status_code == 400


def test_a_machine_that_cannot_classify_says_so(client: Client) -> None:
    sign_in(client, "view_classification")
    response = classify(client, draw_png())
    assert (response.status_code, "register_model_version" in response.json()["detail"]) == (409, True)
    version = register_active_version()
    (get_artefact_folder(version) / NETWORK_FILE).write_bytes(b"damaged")
    get_classifier.__globals__["_load"].cache_clear()  # as another process, which has not loaded it yet
    response = classify(client, draw_png())
    assert (response.status_code, str(get_artefact_folder(version)) in response.text) == (503, False)


def test_classifying_needs_a_sign_in_its_permission_and_the_csrf_token() -> None:
    register_active_version()
    client = Client(enforce_csrf_checks=True)
    assert classify(client, draw_png()).status_code == 401
    sign_in(client, "add_review")
    assert classify(client, draw_png()).status_code == 403
    sign_in(client, "view_classification")
    assert classify(client, draw_png()).status_code == 403
    client.logout()
    assert classify(client, draw_png(), **build_token_header(create_member("view_classification"))).status_code == 200


def review(client: Client, **data: Any) -> HttpResponse:
    return client.post(REVIEWS, data, content_type="application/json")


def test_a_review_labels_the_product_at_once(client: Client) -> None:
    product = create_product(images=["demo/1.png"])
    image = product.product_images.get().image
    user = sign_in(client, "add_review")
    response = review(client, image=image.pk, group="Bags", garment="Bag", note="seen")
    row = Review.objects.get()
    assert (response.status_code, response.json()["reviewer"]) == (201, user.username)
    assert (row.image, row.group, row.garment, row.note, row.reviewer) == (image, "Bags", "Bag", "seen", user)
    assert (product.label.group, product.label.status, product.label.source) == ("Bags", "reviewed", "person")


def test_a_review_is_in_the_name_of_who_sends_it(client: Client) -> None:
    image = create_product(images=["demo/1.png"]).product_images.get().image
    other = User.objects.create_user("other")
    user = sign_in(client, "add_review")
    assert review(client, image=image.pk, group="Bags", reviewer=other.pk, id=99).status_code == 201
    assert (Review.objects.get().reviewer, Review.objects.get().pk == 99) == (user, False)


@pytest.mark.parametrize(
    "change, field",
    [
        ({"group": "Hats"}, "group"),
        ({"garment": "Sandal"}, "garment"),
        ({"garment": "Umbrella"}, "garment"),
        ({"image": 0}, "image"),
        ({"image": 10**30}, "image"),
        ({"image": "abc"}, "image"),
        ({"image": None}, "image"),
        ({"note": "a\0b"}, "note"),
        ({"note": "\ud800"}, "note"),
        ({"note": "x" * 2001}, "note"),
    ],
    ids=str,
)
def test_a_review_of_something_else_is_refused_and_leaves_nothing(
    client: Client, change: dict[str, Any], field: str
) -> None:
    image = create_product(images=["demo/1.png"]).product_images.get().image
    sign_in(client, "add_review")
    response = review(client, **({"image": image.pk, "group": "Bags"} | change))
    assert (response.status_code, list(response.json()["errors"])) == (400, [field])
    assert not Review.objects.exists()
    assert ProductLabel.objects.get().status == "pending"


def test_reviewing_needs_a_sign_in_its_permission_and_the_csrf_token() -> None:
    image = create_product(images=["demo/1.png"]).product_images.get().image
    client = Client(enforce_csrf_checks=True)
    assert review(client, image=image.pk, group="Bags").status_code == 401
    sign_in(client, "view_review", "change_review")
    assert review(client, image=image.pk, group="Bags").status_code == 403
    sign_in(client, "add_review")
    assert review(client, image=image.pk, group="Bags").status_code == 403
    assert not Review.objects.exists()

"""The pages about one picture: why it got its label, and a person's label for it."""

import json
import re

import numpy as np
import pytest
from django.conf import settings as django_settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client

from catalog.models import Product, ProductLabel, StoredPicture
from catalog.pictures.storage import THUMBNAIL_SIZE, StorageError
from classifier.evidence import explanations, product_page
from classifier.evidence.explanations import create_explanation, explanation_name, find_explanation
from classifier.evidence.product_page import get_product_page
from classifier.labels import history
from classifier.ml.artefacts import ArtefactMissingError
from classifier.ml.heads import Heads
from classifier.ml.judging.calibration import Calibration
from classifier.ml.labels import GROUPS
from classifier.ml.preprocessing import CanonicalView
from classifier.models import Classification, PictureFeatures, Review
from classifier.reviews.services import record_review
from tests.support.artefacts import register_active_version
from tests.support.factories import create_product, create_product_image
from tests.support.fakes import create_model_version, create_painted_image, create_stored_image
from tests.support.labels import label_everything
from tests.support.members import create_member, sign_in

pytestmark = pytest.mark.django_db


class FakeNetwork:
    """Sees a white square in the middle half of every picture; its label hangs on the form's upper left corner."""

    def __init__(self, *, side: float = 16.0, weight: float = 1.0) -> None:
        self.calls = 0
        self.side, self.weight = side, weight

    def view(self, picture: np.ndarray) -> CanonicalView:
        """The middle half of a picture of 32 pixels."""
        value = 255 if self.side else 0
        return CanonicalView(np.full((28, 28), value, dtype=np.uint8), picture, left=8.0, top=8.0, side=self.side)

    def group_probabilities(self, canonical: np.ndarray, *, photograph: np.ndarray | None) -> np.ndarray:
        """Footwear by how white the corner is; Bags is the rest."""
        self.calls += 1
        share = 1 - self.weight * (1 - canonical[:, :8, :8].mean(axis=(1, 2)) / 255)
        return np.stack([0 * share, 0 * share, 0 * share, share, 1 - share], axis=1)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> FakeNetwork:
    network = FakeNetwork()
    monkeypatch.setattr(explanations, "get_classifier", lambda version: network)
    return network


def create_sandal() -> Classification:
    """A labelled picture of a product."""
    create_model_version()
    create_product("Summer shoe", images=[create_painted_image("Sandal")])
    label_everything()
    return Classification.objects.select_related("image__stored_picture", "model_version").get()


def test_a_page_says_which_part_the_label_hangs_on(client: Client, network: FakeNetwork) -> None:
    classification = create_sandal()
    # One space for each line's end and indentation, as a browser reads them.
    page = " ".join(client.get(f"/images/{classification.image_id}/explanation/").text.split())
    assert (
        "Covering the <b>upper left</b> lowers Footwear by <b>100.0 points</b>, to 0.0 %; Bags is likelier then."
        in page
    )
    assert f'<image href="/thumbnails/{classification.sha256}.jpg" width="32" height="32"/>' in page
    # The strongest cell is the corner of what the network saw, 16 pixels of the picture in 14 cells.
    assert '<rect x="8.0" y="8.0" width="1.14" height="1.14" fill-opacity="1.00"/>' in page
    assert '<rect class="seen" x="8.00" y="8.00" width="16.00" height="16.00"/>' in page
    assert "amber" not in page
    assert 'src="data:image/png;base64,' in page
    assert classification.model_version.name in page
    assert "Summer shoe</a>" in page
    assert not re.search(r"<script(?! src=./static/)|<style|\sstyle=|https?://", page)


@pytest.mark.parametrize("canonical", [False, True])
def test_the_threshold_named_is_that_of_what_the_picture_is(
    client: Client, monkeypatch: pytest.MonkeyPatch, canonical: bool
) -> None:
    classification = create_sandal()
    calibration = Calibration(1.0, dict.fromkeys(GROUPS, 0.7), 0.0, dict.fromkeys(GROUPS, 1.0))
    for module in (product_page, history):
        monkeypatch.setattr(module, "find_heads", lambda version: Heads(calibration, threshold=0.9))
    PictureFeatures.objects.update_or_create(
        base=classification.model_version.base,
        sha256=bytes.fromhex(classification.sha256),
        defaults={"features": b"", "blank": False, "canonical": canonical},
    )
    product = Product.objects.get()
    expected = 0.7 if canonical else 0.9
    assert get_product_page(product.pk).images[0].threshold == expected
    thresholds = client.get(f"/api/v1/products/{product.pk}/").json()["provenance"]["thresholds"]
    assert thresholds == dict.fromkeys(GROUPS, expected)


def test_the_part_for_the_product_page_is_no_page(client: Client, network: FakeNetwork) -> None:
    classification = create_sandal()
    part = client.get(f"/images/{classification.image_id}/explanation/?fragment").text
    assert "<html" not in part
    assert "lowers Footwear" in part


def test_reasons_are_computed_once_for_a_picture_and_a_version(client: Client, network: FakeNetwork) -> None:
    classification = create_sandal()
    address = f"/images/{classification.image_id}/explanation/"
    first = client.get(address).text
    assert client.get(address).text == first
    assert network.calls == 1
    found = find_explanation(classification)
    assert found is not None
    assert found.parts == [explanations.CoveredPart("upper left", 1.0, 0.0, "Bags")]
    classification.model_version.manifest_sha256 = "f" * 64
    assert find_explanation(classification) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'{"parts": [{"place": 1}]}', b"\xff"])
def test_a_damaged_file_is_computed_again(client: Client, network: FakeNetwork, content: bytes) -> None:
    classification = create_sandal()
    default_storage.save(explanation_name(classification), ContentFile(content))
    page = client.get(f"/images/{classification.image_id}/explanation/").text
    assert "lowers Footwear" in page
    assert find_explanation(classification) is not None


def test_a_full_folder_keeps_the_newest_and_as_many_others_as_it_may(
    client: Client, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explanations, "MAXIMUM_KEPT", 3)
    classification = create_sandal()
    folder = explanation_name(classification).rpartition("/")[0]
    others = {f"other-{number}.json" for number in range(5)}
    for name in {*others, "half.json.0123.part"}:
        default_storage.save(f"{folder}/{name}", ContentFile(b"{}"))
    default_storage.save("explanations/other/kept.json", ContentFile(b"{}"))
    client.get(f"/images/{classification.image_id}/explanation/")
    assert find_explanation(classification) is not None
    left = set(default_storage.listdir(folder)[1])
    assert len(left & others) == 2
    assert len(left) == 4
    assert "half.json.0123.part" in left
    assert default_storage.exists("explanations/other/kept.json")


def test_a_full_disk_costs_the_copy_and_not_the_answer(
    client: Client, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    classification = create_sandal()

    def refuse(name: str, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explanations, "write_once", refuse)
    assert "lowers Footwear" in client.get(f"/images/{classification.image_id}/explanation/").text
    assert find_explanation(classification) is None


def test_a_label_that_hangs_on_no_part_says_so(client: Client, network: FakeNetwork) -> None:
    network.weight = 0.03
    classification = create_sandal()
    page = client.get(f"/images/{classification.image_id}/explanation/").text
    assert "Footwear stays within 3.0 points of 100.0 %." in page


def test_a_blank_picture_has_no_map(client: Client, network: FakeNetwork) -> None:
    network.side = 0.0
    classification = create_sandal()
    page = client.get(f"/images/{classification.image_id}/explanation/").text
    assert "Nothing stands out from the background of this picture" in page
    assert "<rect" not in page
    assert "No part is tinted" in page


def test_what_has_no_label_or_no_picture_any_more_is_not_found(client: Client, network: FakeNetwork) -> None:
    classification = create_sandal()
    unlabelled = create_stored_image(b"no picture")
    address = f"/images/{classification.image_id}/explanation/"
    assert client.get(f"/images/{unlabelled.pk}/explanation/").status_code == 404
    assert client.get("/images/0/explanation/").status_code == 404
    default_storage.delete(StoredPicture.objects.get(image=classification.image).storage_name)
    response = client.get(address)
    assert (response.status_code, "not held any more" in response.text) == (404, True)
    for change in ({"sha256": "0" * 64}, {"sha256": classification.sha256, "url": "https://shop.example/before.jpg"}):
        StoredPicture.objects.update(**change)
        assert client.get(address).status_code == 404
    assert network.calls == 0
    assert not default_storage.exists("explanations")


@pytest.mark.parametrize("read", ["read_media_picture", "find_picture_bytes"])
def test_a_storage_that_is_away_says_so(
    client: Client, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    classification = create_sandal()

    def refuse(_name: object) -> bytes:
        raise StorageError("could not connect")

    monkeypatch.setattr(explanations, read, refuse)
    response = client.get(f"/images/{classification.image_id}/explanation/")
    assert (response.status_code, "does not answer at the moment" in response.text) == (503, True)


def test_a_machine_without_the_versions_files_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(version: object) -> None:
        raise ArtefactMissingError("expected a plain file")

    monkeypatch.setattr(explanations, "get_classifier", refuse)
    classification = create_sandal()
    response = client.get(f"/images/{classification.image_id}/explanation/")
    assert response.status_code == 503
    assert "cannot be used here: files missing or changed." in response.text


def test_many_new_reasons_have_to_wait_and_stored_ones_do_not(
    client: Client, network: FakeNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert django_settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]["explanations"] == "60/min"
    monkeypatch.setitem(django_settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "explanations", "1/min")
    create_model_version()
    images = [create_painted_image("Sandal"), create_painted_image("Bag")]
    create_product(images=images)
    label_everything()
    first, second = (f"/images/{image.pk}/explanation/" for image in images)
    assert client.get(first).status_code == 200
    assert client.get(first).status_code == 200
    response = client.get(second)
    assert response.status_code == 429
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert network.calls == 1
    sign_in(client)
    assert client.get(second).status_code == 200


def test_the_shipped_network_explains_a_picture_of_its_own_label(client: Client) -> None:
    register_active_version()
    create_product(images=[create_painted_image("Sandal")])
    label_everything()
    classification = Classification.objects.select_related("image__stored_picture", "model_version").get()
    explanation = create_explanation(classification.image, classification=classification)
    # One colour all over: nothing stands out.
    assert (explanation.side, explanation.cells, explanation.canonical_size) == (0.0, [], 28)
    assert (explanation.width, explanation.height) == (32, 32)
    assert explanation.width <= THUMBNAIL_SIZE
    with default_storage.open(explanation_name(classification)) as file:
        assert json.loads(file.read())["group"] == "Footwear"


@pytest.mark.parametrize(
    "sent, group, garment",
    [({"group": "Bags"}, "Bags", ""), ({"garment": "Ankle boot"}, "Footwear", "Ankle boot")],
)
def test_a_person_records_a_label_on_the_product_page(
    client: Client, sent: dict[str, str], group: str, garment: str
) -> None:
    classification = create_sandal()
    product_id = ProductLabel.objects.get().product_id
    user = sign_in(client, "add_review")
    address = f"/products/{product_id}/images/{classification.image_id}/review/"
    assert address in client.get(f"/products/{product_id}/").text
    response = client.post(address, sent)
    assert (response.status_code, response.headers["Location"]) == (302, f"/products/{product_id}/#image-0")
    review = Review.objects.get()
    assert (review.group, review.garment, review.reviewer) == (group, garment, user)
    label = ProductLabel.objects.get()
    assert (label.group, label.garment, label.status) == (group, garment, "reviewed")
    value = garment or group
    assert f'value="{value}" aria-pressed="true"' in client.get(f"/products/{product_id}/").text


@pytest.mark.parametrize("sent", [{}, {"group": "Hats"}, {"garment": "Hat"}, {"group": "Bags", "garment": "Shirt"}])
def test_a_label_that_does_not_exist_is_refused_and_nothing_is_written(client: Client, sent: dict[str, str]) -> None:
    classification = create_sandal()
    product_id = ProductLabel.objects.get().product_id
    sign_in(client, "add_review")
    response = client.post(f"/products/{product_id}/images/{classification.image_id}/review/", sent)
    assert (response.status_code, "The label was not recorded" in response.text) == (400, True)
    assert not Review.objects.exists()
    assert ProductLabel.objects.get().status == "labelled"


def test_only_the_products_own_images_can_be_reviewed_and_only_with_the_forms_token(client: Client) -> None:
    classification = create_sandal()
    product_id = ProductLabel.objects.get().product_id
    other = create_product("Other", images=[create_painted_image("Bag")])
    user = sign_in(client, "add_review")
    address = f"/products/{other.pk}/images/{classification.image_id}/review/"
    assert client.post(address, {"group": "Bags"}).status_code == 404
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(user)
    address = f"/products/{product_id}/images/{classification.image_id}/review/"
    assert strict.post(address, {"group": "Bags"}).status_code == 403
    assert not Review.objects.exists()


def test_an_image_that_stands_twice_in_a_product_can_be_reviewed(client: Client) -> None:
    classification = create_sandal()
    product = ProductLabel.objects.get().product
    create_product_image(product, image=classification.image, image_index=1)
    sign_in(client, "add_review")
    response = client.post(f"/products/{product.pk}/images/{classification.image_id}/review/", {"group": "Bags"})
    assert response.headers["Location"] == f"/products/{product.pk}/#image-0"
    assert Review.objects.count() == 1


def test_who_may_not_review_sees_no_form(client: Client) -> None:
    create_sandal()
    address = f"/products/{ProductLabel.objects.get().product_id}/"
    assert "/review/" not in client.get(address).text
    sign_in(client, "view_review")
    assert "/review/" not in client.get(address).text


def test_a_label_that_somebody_gave_meanwhile_stands_and_is_shown(client: Client) -> None:
    classification = create_sandal()
    product_id = ProductLabel.objects.get().product_id
    sign_in(client, "add_review", "view_review")
    address = f"/products/{product_id}/images/{classification.image_id}/review/"
    other = create_member()
    standing = record_review(classification.image, verdict="unusable", reviewer=other)
    page = client.post(address, {"group": "Bags", "seen_review": ""}, follow=True)
    assert [str(message) for message in page.context["messages"]] == [
        f"Your label was not recorded. {other} said Unusable since this was shown; that label stands."
    ]
    assert f'name="seen_review" value="{standing.pk}"' in page.text
    assert 'value="unusable" aria-pressed="true"' in page.text
    page = client.post(address, {"verdict": "none_of_these", "seen_review": str(standing.pk)}, follow=True)
    assert ProductLabel.objects.get().status == "none_of_these"
    changes = page.context["page"].changes
    assert [(change.row.new_words, change.row.old_words) for change in changes[:2]] == [
        ("none of these", "unusable"),
        ("unusable", "Footwear, Sandal (labelled)"),
    ]
    assert changes[1].reviewer_words == str(other)

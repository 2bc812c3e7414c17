"""A picture that failed is mended where it is shown: another address, a picture file, or another try."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from catalog.models import Image
from classifier.labelling.errors import mend_image
from classifier.models import Classification, LabellingRun, LabelTask, ModelVersion
from tests.support.factories import create_image, create_product
from tests.support.fakes import create_model_version
from tests.support.make_images import jpeg
from tests.support.members import sign_in

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]

PERMISSIONS = ("view_labeltask", "change_labeltask", "change_image")
BROKEN = "https://shop.example/brokn.jpg"


@pytest.fixture
def shelf() -> None:
    """Images are shown by the products of each test alone."""


@pytest.fixture
def task() -> LabelTask:
    """A picture that two products show and that was given up."""
    image = create_image(BROKEN)
    create_product("Shirt", id=1001, images=[image])
    create_product("Bag", id=1002, images=["https://shop.example/bag.jpg", image])
    return create_failure(image, version=create_model_version())


def create_failure(image: Image, *, version: ModelVersion, **fields: object) -> LabelTask:
    run = LabellingRun.objects.create(model_version=version)
    values = {"state": "failed", "error_code": "timeout", "attempts": 6, "last_failed_at": timezone.now()} | fields
    return LabelTask.objects.create(image=image, model_version=version, run=run, **values)


def post(client: Client, task: LabelTask, **form: object) -> str:
    return " ".join(client.post(f"/images/{task.image_id}/mend/", form, follow=True).text.split())


def list_addresses(product_id: int) -> list[str]:
    return list(Image.objects.filter(product_images__product=product_id).order_by("pk").values_list("url", flat=True))


def test_another_address_reaches_every_product_and_is_tried_at_once(client: Client, task: LabelTask) -> None:
    user = sign_in(client, *PERMISSIONS)
    url = "https://shop.example/broken.jpg"
    page = post(client, task, url=f" {url} ", query="code=timeout")
    assert "The address is replaced in 2 products. The picture is tried again." in page
    assert '<option value="timeout" selected>' in page
    assert list_addresses(1001) == [url]
    assert list_addresses(1002) == ["https://shop.example/bag.jpg", url]
    former, task = task.image, LabelTask.objects.get()
    assert (task.image.url, task.state, task.attempts) == (url, "retry", 0)
    # What was said of a picture was said of what its address gave.
    assert Image.objects.get(pk=former.pk).url == BROKEN
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_id) == (user, str(former.pk))
    assert entry.change_message == f"Replaced by image {task.image_id} in 2 products."


def test_an_address_that_the_admin_replaces_is_mended_by_the_same_road(admin_client: Client, task: LabelTask) -> None:
    url = "https://shop.example/broken.jpg"
    address = f"/admin/catalog/image/{task.image_id}/replace-address/"
    assert admin_client.post(address, {"url": url}).status_code == 302
    assert list_addresses(1001) == [url]
    task = LabelTask.objects.get()
    assert (task.image.url, task.state) == (url, "retry")


def test_a_picture_file_stands_in_for_what_failed(client: Client, task: LabelTask) -> None:
    sign_in(client, *PERMISSIONS)
    picture = SimpleUploadedFile("../../etc/my shirt.png", jpeg())
    page = post(client, task, url=BROKEN, picture=picture, product="1001")
    assert "The picture is tried again." in page
    assert '<h1 dir="auto"><mark>Shirt</mark></h1>' in page
    (name,) = list_addresses(1001)
    assert re.fullmatch(r"uploads/[0-9a-f]{16}/my_shirt\.jpg", name)
    with default_storage.open(name) as file:
        assert file.read() == jpeg()
    assert LabelTask.objects.get(image__url=name).state == "retry"


def test_the_same_address_is_tried_again_and_nothing_else(client: Client, task: LabelTask) -> None:
    # Such an address came before there were rules.
    Image.objects.filter(pk=task.image_id).update(url="ftp://old.example/a.jpg")
    sign_in(client, *PERMISSIONS)
    assert "The picture is tried again." in post(client, task, url="ftp://old.example/a.jpg")
    assert LabelTask.objects.get().state == "retry"
    assert not LogEntry.objects.exists()
    assert "This picture has not failed, or is being tried already." in post(client, create_done(task))


def create_done(task: LabelTask) -> LabelTask:
    return create_failure(create_image(), version=task.model_version, state="done")


def test_what_cannot_stand_in_changes_nothing_and_is_not_lost(client: Client, task: LabelTask) -> None:
    sign_in(client, *PERMISSIONS)
    page = post(client, task, url="https://shop .example/a.jpg", query="code=timeout")
    assert "Expected an http(s) url with a host and without white space" in page
    assert 'name="url" value="https://shop .example/a.jpg"' in page
    assert 'name="query" value="code=timeout"' in page
    page = post(client, task, url=BROKEN, picture=SimpleUploadedFile("a.jpg", b"<html>"), product="1001")
    assert "This is not a picture: " in page
    assert 'name="product" value="1001"' in page
    assert '<a href="/products/1001/">Back to the product</a>' in page
    page = post(client, task, url="ftp://a.example/a.jpg", query="code=timeout", product="no number")
    assert '<a href="/errors/?code=timeout">Back to the errors</a>' in page
    assert (LabelTask.objects.get().state, list_addresses(1001)) == ("failed", [BROKEN])


def test_a_picture_that_is_there_already_keeps_its_own_tasks(task: LabelTask) -> None:
    known = create_failure(create_image(), version=task.model_version)
    older = create_failure(task.image, version=create_model_version(stage="candidate"), state="ignored")
    assert mend_image(task.image, url=known.image.url) == (known.image, 2, 2)
    states = dict(LabelTask.objects.values_list("pk", "state"))
    assert states == {task.pk: "cancelled", known.pk: "retry", older.pk: "retry"}
    assert LabelTask.objects.get(pk=older.pk).image == known.image
    labelled = create_failure(create_image(), version=task.model_version, state="done")
    assert mend_image(known.image, url=labelled.image.url)[1:] == (2, 1)
    assert set(LabelTask.objects.filter(model_version=task.model_version).values_list("state", flat=True)) == {
        "cancelled",
        "done",
    }


def test_a_picture_that_the_run_labelled_from_its_features_closes_the_task(task: LabelTask) -> None:
    known = create_image()
    Classification.objects.create(
        image=known, model_version=task.model_version, run=task.run, sha256="0" * 64, group="Bags", garment="Bag",
        confidence=0.9, abstained=False, garment_probabilities=[],
    )  # fmt: skip
    assert mend_image(task.image, url=known.url)[2] == 0
    assert LabelTask.objects.get().state == "cancelled"


def test_it_takes_both_permissions_and_each_page_offers_it_to_those(client: Client, task: LabelTask) -> None:
    for permissions in (("view_labeltask", "change_labeltask"), ("view_labeltask", "change_image")):
        sign_in(client, *permissions)
        assert client.post(f"/images/{task.image_id}/mend/", {"url": "x.jpg"}).status_code == 403
        assert "/mend/" not in client.get("/errors/").text + client.get("/products/1001/").text
    sign_in(client, *PERMISSIONS)
    for address in ("/errors/", "/products/1001/"):
        assert f'action="/images/{task.image_id}/mend/"' in client.get(address).text, address
    assert list_addresses(1001) == [BROKEN]


def test_the_page_of_the_product_says_in_words_why_a_picture_failed(client: Client, task: LabelTask) -> None:
    assert "The last try failed. The host took too long (timeout)." in client.get("/products/1001/").text

"""Pictures at URLs on their way to a label: fetched once, held, asked for again only when they are relabelled."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as PillowImage

from catalog.models import Image, StoredPicture
from catalog.pictures.statistics import STATISTICS
from classifier.labelling.batches import label_batch
from classifier.labelling.starting import start_labelling_run
from classifier.models import Classification, LabelTask, PictureFeatures
from tests.support.fakes import FakeClassifier, create_model_version
from tests.support.image_origin import ORIGIN_ADDRESS, ImageOrigin, response, running_origin

pytestmark = pytest.mark.django_db

TROUSER_RED = 30  # what the fake classifier takes for a trouser


@pytest.fixture
def origin(settings) -> Iterator[ImageOrigin]:
    create_model_version()
    with running_origin() as origin:
        settings.FETCH_ALLOWED_NETWORKS = [f"{ORIGIN_ADDRESS}/32"]
        settings.FETCH_ALLOWED_PORTS = [origin.port]
        settings.FETCH_REQUESTS_PER_SECOND_PER_HOST = 0.0
        yield origin
        assert origin.forbidden_connections == 0


def build_png() -> bytes:
    buffer = BytesIO()
    PillowImage.new("RGB", (40, 60), (TROUSER_RED, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def label_due(**options: object) -> None:
    start_labelling_run(**options)
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())


def test_a_picture_at_a_url_is_labelled_and_held(origin: ImageOrigin) -> None:
    url = origin.serve("/a.png", response(build_png(), headers='ETag: "one"\r\n'))
    image = Image.objects.create(url=url)
    label_due()
    assert Classification.objects.get(image=image).garment == "Trouser"
    stored = StoredPicture.objects.get(image=image)
    assert (stored.width, stored.height, stored.etag) == (40, 60, '"one"')
    assert stored.sha256 == Classification.objects.get(image=image).sha256
    statistics = np.frombuffer(PictureFeatures.objects.get().statistics, "<f2")
    assert len(statistics) == len(STATISTICS)
    assert statistics[0] == pytest.approx(np.log2(40 * 60), abs=0.01)


def test_a_held_picture_is_not_fetched_for_another_version(origin: ImageOrigin) -> None:
    Image.objects.create(url=origin.serve("/a.png", response(build_png())))
    label_due()
    Classification.objects.get().model_version.__class__.objects.update(stage="retired")
    create_model_version()
    label_due()
    assert origin.paths() == ["/a.png"]
    assert Classification.objects.count() == 2


def test_relabelling_asks_whether_the_picture_has_changed(origin: ImageOrigin) -> None:
    Image.objects.create(url=origin.serve("/a.png", response(build_png(), headers='ETag: "one"\r\n')))
    label_due()
    origin.serve("/a.png", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n")
    label_due(relabel=True)
    assert [request.headers.get("if-none-match") for request in origin.requests] == [None, '"one"']
    assert list(Classification.objects.values_list("garment", flat=True)) == ["Trouser", "Trouser"]


def test_each_failure_has_its_code_and_the_neighbours_their_labels(origin: ImageOrigin) -> None:
    urls = {
        "good": origin.serve("/good.png", response(build_png())),
        "gone": origin.serve("/gone.png", response(b"", status="410 Gone")),
        "busy": origin.serve("/busy.png", response(b"", status="503 Service Unavailable")),
        "page": origin.serve("/page.png", response(b"<html>sold out</html>")),
        "inside": f"http://169.254.169.254:{origin.port}/latest/meta-data",
        "port": "http://shop.example:22/a.png",
    }
    images = {name: Image.objects.create(url=url) for name, url in urls.items()}
    label_due()
    rows = LabelTask.objects.values_list("image_id", "state", "error_code")
    assert {row[0]: row[1:] for row in rows} == {
        images["good"].pk: ("done", ""),
        images["gone"].pk: ("failed", "http_4xx"),
        images["busy"].pk: ("retry", "http_5xx"),
        images["page"].pk: ("failed", "not_image"),
        images["inside"].pk: ("failed", "url_blocked"),
        images["port"].pk: ("failed", "url_invalid"),
    }
    assert StoredPicture.objects.count() == 1

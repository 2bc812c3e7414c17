"""How large a body may be, and that nothing of a larger one is read."""

import pytest
from django.test import Client
from django.urls import reverse

from catalog.interchange.import_views import BODY_BYTES as IMPORT_BODY_BYTES
from catalog.pictures.formats import MAX_FILE_BYTES
from tests.support.members import sign_in

pytestmark = pytest.mark.django_db
MEBIBYTE = 1_048_576


class Body:
    """A body of so many bytes, of which is known what is not read yet."""

    def __init__(self, left: int) -> None:
        self.left = left

    def read(self, size: int) -> bytes:
        size = min(size, self.left)
        self.left -= size
        return b"a" * size

    readline = read


class Untouchable:
    """A body that must not be read."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("the body was read")

    readline = read


def send(client: Client, address: str, *, length: int | None, method: str = "POST", **headers: str) -> tuple[int, str]:
    """Send a form of which nothing must be read; return the status, and what is said."""
    environ = {"wsgi.input": Untouchable(), "CONTENT_TYPE": "multipart/form-data; boundary=edge", **headers}
    if length is not None:
        environ["CONTENT_LENGTH"] = str(length)
    response = client.request(PATH_INFO=address, REQUEST_METHOD=method, **environ)
    return response.status_code, response.text


@pytest.mark.parametrize("address", ["/admin/login/", "/products/", "/", "/api/v1/schema/", "/api/v1/reviews/"])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_stranger_s_body_is_refused_before_it_is_read(address: str, method: str) -> None:
    client = Client(enforce_csrf_checks=True)
    client.get("/admin/login/")  # with the cookie of a form
    status, text = send(client, address, length=300_000_000, method=method)
    assert status == 413
    assert "Expected a body of at most 1,048,576 bytes." in text
    assert send(client, address, length=MEBIBYTE + 1, method=method)[0] == 413


def test_a_body_without_a_length_is_none(client: Client) -> None:
    for address in ("/admin/login/", "/api/v1/classify/"):
        status, text = send(client, address, length=None, HTTP_TRANSFER_ENCODING="chunked")
        assert status == 411
        assert "Content-Length" in text


@pytest.mark.parametrize("address, status", [("/api/v1/classify/", 401), ("/api/v1/products/", 405), ("/", 405)])
def test_nothing_is_left_of_a_body_that_is_taken(client: Client, address: str, status: int) -> None:
    environ = {"wsgi.input": (body := Body(1_000_000)), "CONTENT_LENGTH": "1000000", "CONTENT_TYPE": "text/plain"}
    assert client.request(PATH_INFO=address, REQUEST_METHOD="POST", **environ).status_code == status
    assert body.left == 0


def test_views_that_take_more_say_so(client: Client) -> None:
    address, limit = reverse("api-classify"), MAX_FILE_BYTES + 16_384
    status, text = send(client, address, length=limit + 1)
    assert (status, "Expected a picture of at most 10,485,760 bytes." in text) == (413, True)
    sign_in(client, "add_product", "change_product", "view_product", staff=True)
    status, text = send(client, reverse("product-import"), length=IMPORT_BODY_BYTES + 1)
    assert (status, "import a larger file by import_catalog" in text) == (413, True)
    with pytest.raises(AssertionError, match="the body was read"):
        send(client, reverse("product-import"), length=IMPORT_BODY_BYTES)
    assert send(client, reverse("image-mend", args=[1]), length=MAX_FILE_BYTES + 65_536)[0] == 413

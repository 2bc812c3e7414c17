"""Hostile requests, sent to every address of the API that they may concern; what they are is in test_api_corpus.py."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Permission, User
from django.core import signing
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from config.db.paging import CURSOR_SALT
from tests.site.test_authorisation import TABLE, create_arguments
from tests.support.members import create_member

JSON = "application/json"
MULTIPART = "multipart/form-data; boundary=edge"
ANY_KEY = 987654321

Target = tuple[str, str]  # an address's name and a method

#: All but what Prometheus reads, which is no JSON and not under the API's address.
CALLS = {name: row for name, row in TABLE.items() if name.startswith("api-") and name != "api-metrics"}
READS: list[Target] = [(name, "GET") for name, row in CALLS.items() if "GET" in row]
WRITES: list[Target] = [(name, "POST") for name, row in CALLS.items() if "POST" in row]
EVERYTHING = READS + WRITES
READ_ONLY: list[Target] = [(name, "POST") for name, _ in READS if "POST" not in TABLE[name]]
FORMS: list[Target] = [("api-classify", "POST")]
#: Calls of which the address says all; what is in their body is not looked at.
BODYLESS = [
    target
    for target in WRITES
    if target[0].endswith(
        (
            *("-cancel", "-activate", "-retry", "-ignore", "-picture", "-acknowledge", "-close", "-renew"),
            *("-follow-up", "-train"),
            *("-review-withdraw", "-review-run-withdraw"),
        )
    )
]
BODIES = [target for target in WRITES if target not in BODYLESS + FORMS]
PRODUCTS: list[Target] = [("api-product-list", "GET")]
REVIEWS: list[Target] = [("api-review-list", "POST")]
#: A list, a row and a call that writes.
SOME: list[Target] = [*PRODUCTS, ("api-product-detail", "GET"), *REVIEWS]

#: What reads or describes a server's insides; no answer has it.
INSIDES = re.compile(rb"Traceback|File \"/|site-packages|psycopg2|sqlite3|/var/|/tmp/|SELECT ")


@dataclass(frozen=True, slots=True)
class Hostile:
    """One line of the corpus: its row, what is hostile, where it is sent, and the status with which it is answered.

    `key` stands for the id in the address, IMAGE in a body for the id of an image. Status 0 is that of a harmless call,
    as the authorisation table has it.
    """

    row: int
    what: str
    targets: list[Target]
    status: int
    query: str = ""
    key: str = ""
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.row}-{self.what}".replace(" ", "_")


def list_patterns(patterns: list[Any]) -> Iterator[URLPattern]:
    """Yield the pattern of every address."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from list_patterns(pattern.url_patterns)
        else:
            yield pattern


PATTERNS = {pattern.name: pattern for pattern in list_patterns(get_resolver().url_patterns) if pattern.name in TABLE}
LISTS = [(name, method) for name, method in READS if getattr(PATTERNS[name].callback.view_class, "pagination_class", 0)]
DETAILS = [(name, method) for name, method in EVERYTHING if set(PATTERNS[name].pattern.converters) & {"pk", "image_id"}]


class Site:
    """The API with a row of each kind, and a client of somebody who may do everything."""

    def __init__(self) -> None:
        self.arguments = create_arguments()
        self.user = create_almighty_member()
        self.client = Client(raise_request_exception=False)
        self.client.force_login(self.user)

    def get_address(self, name: str) -> str:
        """Return the address of this name for the row that there is."""
        return reverse(name, args=self.arguments.get(name, []))

    def send(self, hostile: Hostile, target: Target) -> HttpResponse:
        """Send the request to one of its targets."""
        name, method = target
        if hostile.key:
            address = reverse(name, args=[ANY_KEY]).replace(str(ANY_KEY), hostile.key)
        else:
            address = self.get_address(name)
        query = f"?{hostile.query}" if hostile.query else ""
        (image,) = self.arguments["api-image-classification-list"]
        body, content_type = hostile.body.replace(b"IMAGE", b"%d" % image), hostile.content_type
        if name == "api-classify" and not body:
            body, content_type = build_form([build_file("picture", b"no picture")]), MULTIPART
        response = self.client.generic(
            method, f"{address}{query}", data=body, content_type=content_type, headers=dict(hostile.headers)
        )
        if response.streaming:
            response = HttpResponse(b"".join(response), status=response.status_code, headers=response.headers)
        return response


def create_almighty_member() -> User:
    """Create a member with every permission there is, who is no superuser."""
    user = create_member()
    user.user_permissions.set(Permission.objects.all())
    return user


def sign_cursor(*content: object) -> str:
    """Return a cursor with our signature, whatever is in it."""
    return signing.Signer(salt=CURSOR_SALT).sign_object(list(content))


def build_form(parts: list[bytes]) -> bytes:
    """Return a multipart body of these parts."""
    return b"".join(b"--edge\r\n" + part for part in parts) + b"--edge--\r\n"


def build_field(name: str, value: bytes) -> bytes:
    """Return a field of a multipart form."""
    return b'Content-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)


def build_file(name: str, value: bytes) -> bytes:
    """Return a file of a multipart form."""
    disposition = b'Content-Disposition: form-data; name="%s"; filename="a.png"\r\n\r\n' % name.encode()
    return disposition + value + b"\r\n"


def read_tables() -> dict[str, list[dict[str, Any]]]:
    """Return every row of the product's tables."""
    models = [model for app in ("accounts", "catalog", "classifier") for model in apps.get_app_config(app).get_models()]
    return {model.__name__: list(model._base_manager.order_by("pk").values()) for model in models}


def assert_problem(response: HttpResponse, status: int, *, what: object = "") -> None:
    """The response is the problem document of this status, and shows nothing of our insides."""
    found = (response.status_code, response.headers["Content-Type"])
    assert found == (status, "application/problem+json"), (what, found, response.content[:500])
    problem = json.loads(response.content)
    assert (problem["status"], problem["type"]) == (status, "about:blank"), what
    assert problem["title"], what
    assert problem["detail"], what
    assert not INSIDES.search(response.content), (what, response.content[:500])

"""Forty kinds of hostile requests, each with its documented answer at every address: never a 5xx, nothing written.

What one check for all addresses refuses is sent to each of them once, and its other forms to `SOME`, or to the first
that take such bodies.

Rows 1 to 37 are the lines of `CORPUS`; rows that take more than one request have functions below, named by row.
"""

import base64
import itertools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from classifier.adoption.services import get_activation_tag
from classifier.models import LabellingRun, LabelTask, ModelVersion
from classifier.registry.services import register_model_version
from config.accounts.services import revoke_tokens
from tests.site.test_authorisation import TABLE
from tests.support.artefacts import answer_as_registered, bring_into_production, create_artefact_twin
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.hostile import (
    BODIES,
    BODYLESS,
    DETAILS,
    EVERYTHING,
    FORMS,
    JSON,
    LISTS,
    MULTIPART,
    PRODUCTS,
    READ_ONLY,
    READS,
    REVIEWS,
    SOME,
    WRITES,
    Hostile,
    Site,
    assert_problem,
    build_field,
    build_file,
    build_form,
    create_almighty_member,
    read_tables,
    sign_cursor,
)
from tests.support.json_calls import post_together
from tests.support.members import build_token_header, create_member

pytestmark = pytest.mark.django_db

TEN_MEGABYTES = b"x" * 10_000_000
ONE_MORE_BYTE = b'{"note": "%s"}' % (b"x" * (1_048_576 - 12 + 1))
DIGITS = "9" * 5000
REVIEW = b'{"image": IMAGE, "group": "Bags", "garment": "Bag", "note": "NOTE"}'
PICTURE = build_file("picture", b"no picture")


def encode_cursor(content: bytes) -> str:
    """A cursor as Django REST framework writes its own."""
    return base64.b64encode(content).decode()


CORPUS = [
    Hostile(1, "10 MB title as JSON", BODIES, 413, body=b'{"title": "%s"}' % TEN_MEGABYTES),
    Hostile(1, "10 MB title as a form", FORMS, 413, body=build_form([build_field("title", TEN_MEGABYTES)]),
            content_type=MULTIPART),
    Hostile(1, "10 MB title to what is read", READ_ONLY, 413, body=b'{"title": "%s"}' % TEN_MEGABYTES),
    Hostile(2, "1 MB and 1 byte", BODIES[:2], 413, body=ONE_MORE_BYTE),
    Hostile(2, "1 MB and 1 byte as a form", FORMS, 413, body=build_form([build_field("note", b"x" * 1_048_577)]),
            content_type=MULTIPART),
    Hostile(3, "201 fields", FORMS, 400, body=build_form([build_field(f"n{n}", b"1") for n in range(201)]),
            content_type=MULTIPART),
    Hostile(3, "201 parameters", EVERYTHING, 400, query="&".join(f"n{n}=1" for n in range(201))),
    Hostile(4, "multipart without boundary", FORMS, 400, body=build_form([PICTURE]),
            content_type="multipart/form-data"),
    Hostile(4, "multipart without boundary to JSON", BODIES, 415, body=b"x", content_type="multipart/form-data"),
    Hostile(4, "multipart with a boundary of 100 KB", FORMS, 415, body=build_form([PICTURE]),
            content_type="multipart/form-data; boundary=" + "x" * 100_000),
    Hostile(5, "1000 fields", FORMS, 400, body=build_form([build_field("n", b"1")] * 1000), content_type=MULTIPART),
    Hostile(5, "1000 files", FORMS, 400, body=build_form([PICTURE] * 1000), content_type=MULTIPART),
    Hostile(6, "cursor garbage", LISTS, 404, query="cursor=garbage"),
    Hostile(6, "cursor of bytes", LISTS, 404, query="cursor=%ff%fe"),
    Hostile(6, "cursor of another site", LISTS, 404, query="cursor=" + encode_cursor(b"x:y:z")),
    Hostile(6, "cursor of 5000 characters", LISTS, 400, query="cursor=" + "x" * 5000),
    Hostile(7, "cursor p=abc", LISTS, 404, query="cursor=" + encode_cursor(b"p=abc")),
    Hostile(8, "cursor p=NUL", LISTS, 404, query="cursor=" + encode_cursor(b"p=%00")),
    Hostile(8, "cursor NUL", LISTS, 400, query="cursor=%00"),
    Hostile(9, "cursor o=1e9", LISTS, 404, query="cursor=" + encode_cursor(b"o=1000000000")),
    Hostile(10, "cursor of another ordering", LISTS, 404, query="cursor=" + sign_cursor("other", False, [1])),
    Hostile(11, "100000 brackets", BODIES, 400, body=b"[" * 100_000),
    Hostile(11, "100000 braces", BODIES[:2], 400, body=b'{"a":' * 100_000),
    Hostile(11, "100000 brackets to no reader", BODYLESS, 0, body=b"[" * 100_000),
    Hostile(12, "search NUL", PRODUCTS, 400, query="search=%00"),
    Hostile(12, "country NUL", PRODUCTS, 400, query="country=us%00"),
    Hostile(13, "search of 1200 words", PRODUCTS, 400, query="search=" + "+".join(["shirt"] * 1200)),
    Hostile(13, "search of 9 words", PRODUCTS, 400, query="search=a+b+c+d+e+f+g+h+i"),
    Hostile(14, "search of 100 KB", PRODUCTS, 400, query="search=" + "x" * 100_000),
    Hostile(15, "id=abc", EVERYTHING, 400, query="id=abc"),
    Hostile(16, "id=1e30", SOME, 400, query="id=1e30"),
    Hostile(17, "_connector", SOME, 400, query="_connector=OR+1=1"),
    Hostile(18, "lookup by a regular expression", SOME, 400, query="title__regex=(a%2B)%2B$"),
    Hostile(18, "lookup of passwords", SOME, 400, query="user__password__startswith=a"),
    Hostile(19, "limit=1e30", SOME, 400, query="limit=1e30"),
    Hostile(19, "offset=-1", SOME, 400, query="offset=-1"),
    Hostile(19, "offset in Arabic digits", SOME, 400, query="offset=%D9%A1%D9%A2"),
    Hostile(19, "page_size=1e30", LISTS, 400, query="page_size=1e30"),
    Hostile(19, "page_size=0", LISTS, 400, query="page_size=0"),
    Hostile(19, "page_size=101", LISTS, 400, query="page_size=101"),
    Hostile(19, "page_size of 5000 digits", LISTS, 400, query="page_size=" + DIGITS),
    *[Hostile(19, f"{name}={value[:9]}", PRODUCTS, 400, query=f"{name}={value}")
      for name, value in (("min_confidence", "nan"), ("min_confidence", "inf"), ("min_confidence", "-0.1"),
                          ("min_confidence", "1e999"), ("min_confidence", DIGITS), ("group", "Hats"),
                          ("garment", "Hat"), ("status", "lost"), ("ordering", "title"), ("ordering", "id,-id"),
                          ("country", "%27%20OR%201=1"))],
    *[Hostile(20, f"key {key[:9]}", DETAILS, 404, key=key) for key in ("abc", "1" + "0" * 30, DIGITS, "-1")],
    *[Hostile(20, f"key {key[:9]}", DETAILS[:3], 404, key=key) for key in ("%00", "%D9%A1", "1.0", "%2e%2e")],
    Hostile(21, "NaN", BODIES, 400, body=b'{"limit": NaN}'),
    Hostile(21, "Infinity", BODIES[:2], 400, body=b'{"limit": -Infinity}'),
    Hostile(21, "1.5 images", REVIEWS, 400, body=b'{"image": 1.5, "group": "Bags", "garment": "Bag"}'),
    Hostile(21, "true images", REVIEWS, 400, body=b'{"image": true, "group": "Bags", "garment": "Bag"}'),
    Hostile(21, "1e999", REVIEWS, 400, body=b'{"image": 1e999, "group": "Bags", "garment": "Bag"}'),
    Hostile(22, "5000 digits", BODIES, 400, body=b'{"limit": %s}' % DIGITS.encode()),
    Hostile(22, "30 digits", REVIEWS, 400, body=b'{"image": %s, "group": "Bags", "garment": "Bag"}' % (b"9" * 30)),
    Hostile(23, "NUL in a text", REVIEWS, 400, body=REVIEW.replace(b"NOTE", rb"\u0000")),
    Hostile(23, "NUL as a byte", BODIES, 400, body=b'{"note": "\0"}'),
    Hostile(24, "lone surrogate", REVIEWS, 400, body=REVIEW.replace(b"NOTE", rb"\ud800")),
    # Without a garment, as the label that stands, which it would contradict else.
    Hostile(24, "pair of surrogates", REVIEWS, 201,
            body=REVIEW.replace(b"NOTE", rb"\ud83d\ude00").replace(b', "garment": "Bag"', b"")),
    Hostile(24, "lone surrogate in a search", PRODUCTS, 200, query="search=%ED%A0%80"),
    Hostile(29, "invalid UTF-8", BODIES[:2], 400, body=b'{"note": "\xff"}'),
    Hostile(29, "invalid UTF-8 in a search", PRODUCTS, 200, query="search=%ff"),
    Hostile(29, "invalid UTF-8 in a name", SOME, 400, query="%ff=1"),
    Hostile(30, "charset bogus", BODIES, 415, body=b"{}", content_type="application/json; charset=bogus"),
    Hostile(30, "charset utf-7", BODIES[:2], 415, body=b"{}", content_type="application/json; charset=utf-7"),
    Hostile(30, "charset zip", BODIES[:2], 415, body=b"{}", content_type="application/json; charset=zip"),
    *[Hostile(30, f"charset {charset[:9]} of no body", targets, 0, content_type=f"application/json; charset={charset}")
      for charset, targets in (("bogus", READS), ("utf-7", SOME[:2]), ("zip", SOME[:2]), ("idna", SOME[:2]),
                               ("undefined", SOME[:2]), ("x" * 5000, SOME[:2]))],
    *[Hostile(30, f"charset {charset} of a form", FORMS, status, body=build_form([PICTURE, build_field("a", b"1")]),
              content_type=f"{MULTIPART}; charset={charset}")
      for charset, status in (("bogus", 415), ("utf-7", 415), ("zip", 415), ("undefined", 415))],
    *[Hostile(31, f"body {body.decode()}", BODIES if body == b"[]" else BODIES[:2], 400, body=body)
      for body in (b"[]", b"null", b"7", b'"a"', b"true", b"{")],
    Hostile(31, "no body", BODIES, 0),
    Hostile(31, "list to no reader", BODYLESS, 0, body=b"[]"),
    Hostile(32, "a key twice", BODIES, 400, body=b'{"limit": 1, "limit": 2}'),
    Hostile(32, "a key twice within", BODIES[:2], 400, body=b'{"a": {"limit": 1, "limit": 2}}'),
    Hostile(33, "foreign host", EVERYTHING, 400, headers={"Host": "evil.example"}),
    Hostile(33, "foreign host with a port", SOME, 400, headers={"Host": "testserver:80@evil.example"}),
    Hostile(33, "foreign host beside ours", READS, 0, headers={"X-Forwarded-Host": "evil.example"}),
    Hostile(34, "2000 parameters", SOME, 400, query="&".join(f"x{n}=1" for n in range(2000))),
    *[Hostile(35, f"{content_type} for JSON", BODIES if content_type == "text/plain" else BODIES[:2], 415, body=b"a=1",
              content_type=content_type)
      for content_type in ("text/plain", "application/x-www-form-urlencoded", MULTIPART, "application/xml", "x")],
    Hostile(35, "no type in particular", BODIES, 400, body=b"a=1", content_type="*/*"),
    *[Hostile(35, f"{content_type} for a form", FORMS, 415, body=b"a=1", content_type=content_type)
      for content_type in (JSON, "application/x-www-form-urlencoded", "image/png", "x")],
    *[Hostile(36, header, SOME[:2], 0, headers={header: "DELETE"})
      for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")],
    *[Hostile(36, f"{header} of a POST", READ_ONLY[:2], 405, headers={header: "GET"})
      for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method")],
    Hostile(36, "_method", SOME, 400, query="_method=DELETE"),
]  # fmt: skip


@pytest.fixture
def site() -> Site:
    return Site()


def test_every_address_answers_as_documented(site: Site) -> None:
    before = read_tables()
    for number, hostile in enumerate(CORPUS, 1):
        for target in hostile.targets:
            name, method = target
            status, what = hostile.status or TABLE[name][method].status, (str(hostile), target)
            with transaction.atomic():
                response = site.send(hostile, target)
                transaction.set_rollback(status < 400)  # what a harmless call writes is no other's concern
            if status >= 400:
                assert_problem(response, status, what=what)
            assert (response.status_code, what) == (status, what), response.content[:500]
            assert b"evil.example" not in response.content, what
        if hostile is CORPUS[-1] or number % 40 == 0:
            assert read_tables() == before, f"at {hostile} or before"


def test_row_1_a_title_of_10_mb_is_not_held_in_memory(site: Site) -> None:
    fields = build_form([build_field("title", b"")]).removesuffix(b"\r\n--edge--\r\n")

    def send(target: tuple[str, str]) -> int:
        name, method = target
        start, content_type = (fields, MULTIPART) if target in FORMS else (b'{"title": "', JSON)
        body = LongStream(start, length=10_000_000)
        environ = {"wsgi.input": body, "CONTENT_LENGTH": "10000000", "CONTENT_TYPE": content_type}
        return site.client.request(PATH_INFO=site.get_address(name), REQUEST_METHOD=method, **environ).status_code

    for target in (*BODIES, *FORMS, *READ_ONLY):
        send(target)  # what is loaded once
        before = read_memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        assert send(target) == 413, target
        assert read_memory("VmHWM") - before <= 5_000_000, target


class LongStream:
    """A request body of `length` bytes that is never whole in memory: `start`, then one letter over and over."""

    def __init__(self, start: bytes, *, length: int) -> None:
        self.start, self.left = start, length

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`."""
        size = min(size, self.left, 65_536)
        data, self.start = self.start[:size].ljust(size, b"x"), self.start[size:]
        self.left -= size
        return data

    def readline(self, size: int) -> bytes:
        """Return the next bytes: there is no end of a line."""
        return self.read(size)


def read_memory(name: str) -> int:
    """Return a figure of this process's memory, in bytes."""
    (kilobytes,) = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024


def test_row_10_a_cursor_belongs_to_its_list_and_order(site: Site) -> None:
    for _ in range(2):
        create_product(images=["demo/1.png"])
        create_model_version(stage="candidate")
    lists = ["/api/v1/products/?", "/api/v1/products/?ordering=-id&"]
    cursors = {}
    for address in lists:
        following = site.client.get(f"{address}page_size=1").json()["next"]
        cursors[address] = re.search("cursor=([^&]+)", following)[1]
    found = [[site.client.get(f"{one}cursor={cursors[other]}").status_code for other in lists] for one in lists]
    assert found == [[200, 404], [404, 200]]
    assert_problem(site.client.get(f"/api/v1/model-versions/?cursor={cursors[lists[0]]}"), 404)


TITLES = {
    "row 25": "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "row 26": "\u202egnp.exe\u2066\u200d\U0001f600",
    "row 27": "Z" + "\u0301" * 10_000,
    "row 28": '=HYPERLINK("https://evil.example")',
    "row 1": "x" * 1_000_000,
}


@pytest.mark.parametrize("title", list(TITLES.values()), ids=list(TITLES))
def test_rows_25_26_27_28_a_title_comes_back_as_it_is_as_json_and_as_text_on_pages(client: Client, title: str) -> None:
    product = create_product(title)
    for address in ("/api/v1/products/", f"/api/v1/products/{product.pk}/"):
        response = client.get(address)
        body = response.json()
        assert body.get("results", [body])[0]["title"] == title
        assert response.headers["Content-Type"] == "application/json"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    for address in (reverse("product-list"), reverse("product-detail", args=[product.pk])):
        page = client.get(address)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]


def test_row_37_nothing_is_written_by_a_session_without_its_csrf_token(site: Site) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(site.user)
    before = read_tables()
    for name, _ in WRITES:
        response = client.post(site.get_address(name), data=b"{}", content_type=JSON)
        assert_problem(response, 403, what=name)
    for headers in ({"X-CSRFToken": "x" * 32}, {"Origin": "https://evil.example"}):
        response = client.post(site.get_address(WRITES[0][0]), data=b"{}", content_type=JSON, headers=headers)
        assert_problem(response, 403, what=headers)
    assert read_tables() == before


def list_bad_tokens() -> Iterator[str]:
    """Yield headers that name nobody, or nobody any more."""
    yield from ("Token 0123456789", "Token", "Token a b", "Token \xff", "Token " + "x" * 5000, "Token %00")
    deleted = create_member("view_labeltask")
    yield build_token_header(deleted)["Authorization"]
    revoke_tokens(deleted)
    expired = create_member("view_labeltask")
    yield build_token_header(expired)["Authorization"]
    expired.tokens.update(expires_at=timezone.now())
    inactive = create_almighty_member()
    User.objects.filter(pk=inactive.pk).update(is_active=False)
    yield build_token_header(inactive)["Authorization"]


def test_row_38_a_token_of_nobody_is_refused_everywhere_with_a_challenge(settings, site: Site) -> None:
    settings.WRONG_TOKENS_PER_MINUTE = 10_000
    headers = list(list_bad_tokens())
    before = read_tables()
    # Each with one of them in turn.
    for (name, method), header in zip(EVERYTHING, itertools.cycle(headers), strict=False):
        response = Client().generic(method, site.get_address(name), headers={"Authorization": header})
        assert_problem(response, 401, what=(name, header[:20]))
        assert response.headers["WWW-Authenticate"] == "Token"
    assert read_tables() == before


def test_row_38_only_the_header_takes_a_token(site: Site) -> None:
    token = build_token_header(site.user)["Authorization"].removeprefix("Token ")
    before, parameters = read_tables(), itertools.cycle(("token", "access_token", "auth_token"))
    for name, method in EVERYTHING:
        public = TABLE[name][method].permission == ""
        address = site.get_address(name)
        response = Client().generic(method, f"{address}?{next(parameters)}={token}")
        assert_problem(response, 400 if public else 401, what=name)
        response = Client().generic(method, address, headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == (TABLE[name][method].status if public else 401), name
    assert read_tables() == before


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_row_39_of_two_activations_by_one_tag_at_once_one_is_stale(
    settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer_as_registered(monkeypatch)
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    twins = [create_artefact_twin(tmp_path / name, version=name) for name in ("one", "two", "three")]
    active, *others = [register_model_version(twin) for twin in twins]
    bring_into_production(active)
    headers = build_token_header(create_member("change_modelversion")) | {"If-Match": f'"{get_activation_tag()}"'}
    requests = [(f"/api/v1/model-versions/{version.pk}/activate/", headers) for version in others]
    assert post_together(requests) == [200, 412]
    assert ModelVersion.objects.get(stage="production") in others
    assert ModelVersion.objects.get(pk=active.pk).stage == "retired"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_row_40_one_key_twice_at_once_starts_one_run() -> None:
    create_model_version()
    create_product(images=[create_painted_image()])
    headers = build_token_header(create_member("add_labellingrun")) | {"Idempotency-Key": "one"}
    assert post_together([("/api/v1/labelling-runs/", headers)] * 2) == [202, 202]
    assert LabellingRun.objects.count() == LabelTask.objects.count() == 1


def test_row_40_one_key_twice_in_turn_starts_one_run(client: Client) -> None:
    create_model_version()
    headers = build_token_header(create_member("add_labellingrun")) | {"Idempotency-Key": "one"}
    answers = [client.post("/api/v1/labelling-runs/", {}, content_type=JSON, headers=headers) for _ in range(2)]
    run = LabellingRun.objects.get()
    assert [(answer.status_code, answer.json()["id"]) for answer in answers] == [(202, run.pk)] * 2


def test_the_corpus_is_complete() -> None:
    """Each of the forty rows is a line of the table above, or a function named by it."""
    lines = {hostile.row for hostile in CORPUS}
    named = [re.findall(r"\d+", name) for name in vars(sys.modules[__name__]) if name.startswith("test_row")]
    assert sorted(lines | {int(row) for rows in named for row in rows}) == list(range(1, 41))

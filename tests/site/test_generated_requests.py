"""Requests that schemathesis generates from the served schema, valid and invalid ones, to every operation.

No answer is a 5xx, and each is one that the schema describes: its status, content type, headers and body. How many
requests there are and from which seed are options of the test command; `make fuzz` sends 10,000.
"""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage
from schemathesis import Case, GenerationMode, checks
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup

from tests.site.test_authorisation import TABLE
from tests.support.artefacts import register_active_version
from tests.support.factories import create_product
from tests.support.fakes import create_painted_image
from tests.support.hostile import EVERYTHING, Site, Target
from tests.support.labels import label_everything
from tests.support.members import build_token_header

pytestmark = [pytest.mark.django_db, pytest.mark.long]

# Not that of `config.wsgi`, which would limit the statements of all tests that come after.
application = get_wsgi_application()

JSON_SCHEMA = {"Accept": "application/vnd.oai.openapi+json"}
#: The schema and its page are not in the schema.
OPERATIONS = [target for target in EVERYTHING if target[0] not in ("api-schema", "api-docs")]
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


def answer_whole(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Call the site and close its answer when it has been read, as a server does."""
    # Nothing between here and there unpacks an answer.
    environ.pop("HTTP_ACCEPT_ENCODING", None)
    response = application(environ, start_response)
    try:
        return [b"".join(response)]
    finally:
        response.close()


@pytest.fixture(scope="module")
def schema(django_db_setup: None, django_db_blocker: Any) -> schemathesis.BaseSchema:
    """The schema as the site serves it; its cases call the site in this process."""
    # A request looks after the connections that earlier tests opened.
    with django_db_blocker.unblock():
        # Nothing of a configuration file that lies about, and nothing written down.
        return schemathesis.openapi.from_wsgi(
            "/api/v1/schema/", answer_whole, config=SchemathesisConfig(), headers=JSON_SCHEMA
        )


@pytest.fixture(autouse=True)
def _one_transaction() -> Iterator[None]:
    """Keep the connection, and so the test's transaction, from request to request, as Django's test client does."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def site(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The API with rows of each kind, a model version that can classify, and no limit to the number of calls."""
    settings.ARTEFACTS_DIR = tmp_path / "artefacts"
    rates = dict.fromkeys(("classify", "runs", "writes"), "1000000/min")
    monkeypatch.setattr("config.web.permissions.WriteThrottle.THROTTLE_RATES", rates)
    site = Site()
    for garment in ("Bag", "Dress"):
        image = create_painted_image(garment)
        create_product(images=[image], descriptions={"us": ("Tasche", None), "de": (None, "Bag")})
    register_active_version()
    label_everything()
    return site


def list_cases(
    operation: schemathesis.APIOperation, *, site: Site, target: Target, mode: GenerationMode
) -> st.SearchStrategy[Case]:
    """Return the operation's requests; of the valid ones half are about a row that there is."""
    anything = operation.as_strategy(generation_mode=mode)
    arguments = site.arguments.get(target[0], [])
    if mode is GenerationMode.NEGATIVE:
        return anything
    known = operation.as_strategy(
        generation_mode=mode, path_parameters=dict(zip(re.findall(r"{(\w+)}", operation.path), arguments, strict=True))
    )
    return anything | known.map(lambda case: with_known_body(case, site=site))


def with_known_body(case: Case, *, site: Site) -> Case:
    """Return the case about an image that there is, or with a picture that can be read."""
    if isinstance(case.body, dict) and "image" in case.body:
        (case.body["image"],) = site.arguments["api-image-classification-list"]
    elif isinstance(case.body, dict) and "picture" in case.body:
        buffer = BytesIO()
        PillowImage.new("RGB", (32, 32), (200, 30, 30)).save(buffer, "PNG")
        case.body["picture"] = buffer.getvalue()
    return case


def find_operation(schema: schemathesis.BaseSchema, *, site: Site, target: Target) -> schemathesis.APIOperation:
    """Return the operation that the schema has for an address and a method."""
    name, method = target
    address = site.get_address(name)
    paths = [path for path in schema if re.fullmatch(re.sub(r"{\w+}", "[^/]+", path), address)]
    path = min(paths, key=lambda path: path.count("{"))  # a word in the place of an id is another address
    return schema[path][method]


def send_cases(cases: st.SearchStrategy[Case], *, headers: dict[str, str], number: int, seed_value: int) -> int:
    """Send so many of the requests and check every answer; return how many were sent. Raises what is wrong."""
    sent = 0

    @seed(seed_value)
    @settings(
        max_examples=number, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False, phases=[Phase.generate],
    )  # fmt: skip
    @given(cases)
    def send(case: Case) -> None:
        nonlocal sent
        sent += 1
        case.call_and_validate(headers=headers, checks=CHECKS)

    send()
    return sent


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("visitor", ["anonymous", "member"])
def test_every_generated_request_is_answered_as_the_schema_says(
    schema: schemathesis.BaseSchema, site: Site, visitor: str, request: pytest.FixtureRequest
) -> None:
    headers = build_token_header(site.user) if visitor == "member" else {}
    cases, seed_value = request.config.getoption("api_cases"), request.config.getoption("api_seed")
    number = -(-cases // (len(OPERATIONS) * 4))
    sent, wrong = 0, []
    for target in OPERATIONS:
        operation = find_operation(schema, site=site, target=target)
        takes_something = [*operation.path_parameters, *operation.query, *operation.body]
        # Of what takes nothing no request is wrong, and what a visitor is refused is not read.
        is_read = takes_something and (visitor == "member" or TABLE[target[0]][target[1]].permission == "")
        modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if is_read else [])]
        for mode in modes:
            requests = list_cases(operation, site=site, target=target, mode=mode)
            try:
                sent += send_cases(requests, headers=headers, number=number, seed_value=seed_value)
            except FailureGroup as failures:
                wrong.append(f"{operation.label}, {mode.value}: {failures}")
    assert not wrong, "\n\n".join(wrong)
    assert sent >= number * len(OPERATIONS) // 2

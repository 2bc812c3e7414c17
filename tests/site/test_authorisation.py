"""Who may call what: every address of the site with every method, for each kind of visitor, against one table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from classifier.models import (
    LabellingRun,
    LabelTask,
    OutputRun,
    Review,
    ReviewRun,
    StageChange,
    SuspectedPicture,
    TrainingRun,
)
from tests.support.drifting import create_alarm, create_drift_check
from tests.support.factories import create_product
from tests.support.fakes import create_model_version
from tests.support.members import create_member

pytestmark = [pytest.mark.django_db, pytest.mark.long]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PUBLIC = ""
SIGNED_IN = "a sign-in"


@dataclass(frozen=True)
class Row:
    """What a method needs (a permission of the classifier, `PUBLIC` or `SIGNED_IN`), and what then comes back."""

    permission: str
    status: int


# The name of every address but the admin's -> its methods; any other method is refused.
TABLE: dict[str, dict[str, Row]] = {
    "start": {"GET": Row(PUBLIC, 200)},
    "product-list": {"GET": Row(PUBLIC, 200)},
    "product-action": {"POST": Row(SIGNED_IN, 403)},
    "product-detail": {"GET": Row(PUBLIC, 200)},
    "product-similar": {"GET": Row(PUBLIC, 200)},
    "product-export": {"GET": Row("view_productlabel", 200)},
    "product-label-moved": dict.fromkeys(METHODS, Row(PUBLIC, 301)),
    "product-import": {"GET": Row("add_product", 200), "POST": Row("add_product", 400)},
    "product-import-run": {"POST": Row("add_product", 302)},
    "product-import-done": {"GET": Row("add_product", 302)},
    "product-import-refused": {"GET": Row("add_product", 302)},
    "thumbnail": {"GET": Row(PUBLIC, 404)},
    "full-size": {"GET": Row(PUBLIC, 404)},
    "image-explanation": {"GET": Row(PUBLIC, 404)},
    "product-image-review": {"POST": Row("add_review", 400)},
    "review-queue-list": {"GET": Row("add_review", 200)},
    "review-queue": {"GET": Row("add_review", 200), "POST": Row("add_review", 404)},
    "review-run-detail": {"GET": Row("add_review", 200)},
    "review-run-cancel": {"POST": Row("add_review", 302)},
    "review-run-withdraw": {"POST": Row("add_review", 302)},
    "data-understanding": {"GET": Row(PUBLIC, 200)},
    "data-file": {"GET": Row(PUBLIC, 404)},
    "accuracy": {"GET": Row("view_review", 200)},
    "figures": {"GET": Row("view_labelchange", 200)},
    "drift": {"GET": Row("view_driftcheck", 200), "POST": Row("add_driftcheck", 409)},
    "alarm-acknowledge": {"POST": Row("change_alarm", 302)},
    "alarm-follow-up": {"POST": Row("change_alarm", 302)},
    "alarm-close": {"POST": Row("change_alarm", 302)},
    "evaluations": {"GET": Row("view_modelversion", 200)},
    "experiments": {"GET": Row(PUBLIC, 200)},
    "experiment-file": {"GET": Row(PUBLIC, 404)},
    "health-live": {"GET": Row(PUBLIC, 200)},
    "health-ready": {"GET": Row(PUBLIC, 503)},
    "health-workers": {"GET": Row(PUBLIC, 200)},
    "labelling-run-list": {"GET": Row("view_labellingrun", 200), "POST": Row("add_labellingrun", 302)},
    "labelling-run-detail": {"GET": Row("view_labellingrun", 200)},
    "labelling-run-cancel": {"POST": Row("change_labellingrun", 302)},
    "labelling-run-retry": {"POST": Row("change_labeltask", 302)},
    "output-run-list": {"GET": Row("view_outputrun", 200), "POST": Row("add_outputrun", 409)},
    "output-run-detail": {"GET": Row("view_outputrun", 200)},
    "output-run-cancel": {"POST": Row("change_outputrun", 302)},
    "error-list": {"GET": Row("view_labeltask", 200)},
    "error-retry": {"POST": Row("change_labeltask", 302)},
    "error-ignore": {"POST": Row("change_labeltask", 302)},
    "error-picture": {"POST": Row("change_labeltask", 302)},
    "image-mend": {"POST": Row("change_labeltask", 302)},
    "training-run-list": {"GET": Row("view_trainingrun", 200), "POST": Row("add_trainingrun", 409)},
    "training-comparison": {"GET": Row("view_trainingrun", 200)},
    "training-run-detail": {"GET": Row("view_trainingrun", 200)},
    "training-run-train": {"POST": Row("change_trainingrun", 302)},
    "training-run-cancel": {"POST": Row("change_trainingrun", 302)},
    "model-version-list": {"GET": Row("view_modelversion", 200)},
    "model-version-detail": {"GET": Row("view_modelversion", 200)},
    "model-version-impact": {"GET": Row("view_modelversion", 200)},
    "impact-products": {"GET": Row("view_modelversion", 404)},
    "model-version-activate": {"POST": Row("change_modelversion", 412)},
    "model-version-stage": {"POST": Row("change_modelversion", 400)},
    "rollback": {"POST": Row("change_modelversion", 400)},
    "stage-change-decide": {"POST": Row("change_modelversion", 400)},
    "sign-in": {"GET": Row(PUBLIC, 200), "POST": Row(PUBLIC, 200)},
    "password": {"GET": Row(SIGNED_IN, 200), "POST": Row(SIGNED_IN, 200)},
    "sign-out": {"POST": Row(PUBLIC, 302)},
    "token-list": {"GET": Row(SIGNED_IN, 200), "POST": Row(SIGNED_IN, 200)},
    "token-revoke": {"POST": Row(SIGNED_IN, 404)},
    "api-schema": {"GET": Row(PUBLIC, 200)},
    "api-docs": {"GET": Row(PUBLIC, 200)},
    "api-product-list": {"GET": Row(PUBLIC, 200)},
    "api-product-detail": {"GET": Row(PUBLIC, 200)},
    "api-product-similar": {"GET": Row(PUBLIC, 200)},
    "api-product-export": {"GET": Row("view_productlabel", 200)},
    "api-image-classification-list": {"GET": Row("view_classification", 200)},
    "api-label-change-list": {"GET": Row("view_labelchange", 200)},
    "api-figures": {"GET": Row("view_labelchange", 200)},
    "api-metrics": {"GET": Row("view_labelchange", 200)},
    "api-classify": {"POST": Row("view_classification", 503)},
    "api-queue-list": {"GET": Row("add_review", 200)},
    "api-review-batch-list": {"POST": Row("add_review", 400)},
    "api-review-batch-detail": {"GET": Row("add_review", 404)},
    "api-review-batch-renew": {"POST": Row("add_review", 404)},
    "api-review-list": {"GET": Row("view_review", 200), "POST": Row("add_review", 400)},
    "api-review-withdraw": {"POST": Row("add_review", 200)},
    "api-review-run-detail": {"GET": Row("add_review", 200)},
    "api-review-run-cancel": {"POST": Row("add_review", 409)},
    "api-review-run-withdraw": {"POST": Row("add_review", 200)},
    "api-labelling-run-list": {"POST": Row("add_labellingrun", 202)},
    "api-labelling-run-detail": {"GET": Row("view_labellingrun", 200)},
    "api-labelling-run-cancel": {"POST": Row("change_labellingrun", 200)},
    "api-output-run-list": {"POST": Row("add_outputrun", 409)},
    "api-output-run-detail": {"GET": Row("view_outputrun", 200)},
    "api-output-run-cancel": {"POST": Row("change_outputrun", 200)},
    "api-training-run-list": {"POST": Row("add_trainingrun", 409)},
    "api-training-run-detail": {"GET": Row("view_trainingrun", 200)},
    "api-training-run-train": {"POST": Row("change_trainingrun", 200)},
    "api-training-run-cancel": {"POST": Row("change_trainingrun", 200)},
    "api-model-version-list": {"GET": Row("view_modelversion", 200)},
    "api-model-version-detail": {"GET": Row("view_modelversion", 200)},
    "api-model-version-impact": {"GET": Row("view_modelversion", 404)},
    "api-model-version-activate": {"POST": Row("change_modelversion", 428)},
    "api-model-version-changes": {"POST": Row("change_modelversion", 400)},
    "api-rollback": {"POST": Row("change_modelversion", 400)},
    "api-stage-change-list": {"GET": Row("view_modelversion", 200)},
    "api-stage-change-detail": {"GET": Row("view_modelversion", 200)},
    "api-stage-change-approve": {"POST": Row("change_modelversion", 400)},
    "api-stage-change-reject": {"POST": Row("change_modelversion", 400)},
    "api-stage-change-withdraw": {"POST": Row("change_modelversion", 400)},
    "api-drift-check-list": {"GET": Row("view_driftcheck", 200), "POST": Row("add_driftcheck", 409)},
    "api-alarm-list": {"GET": Row("view_alarm", 200)},
    "api-alarm-acknowledge": {"POST": Row("change_alarm", 200)},
    "api-alarm-follow-up": {"POST": Row("change_alarm", 409)},
    "api-alarm-close": {"POST": Row("change_alarm", 200)},
    "api-error-list": {"GET": Row("view_labeltask", 200)},
    "api-error-retry": {"POST": Row("change_labeltask", 200)},
    "api-error-ignore": {"POST": Row("change_labeltask", 200)},
    "api-error-picture": {"POST": Row("change_labeltask", 200)},
}
# A page's form stands on the page, so its permission comes on top of the one to see it; the review is somebody else's.
ALSO_NEEDED = {
    ("training-run-list", "POST"): "view_trainingrun",
    ("output-run-list", "POST"): "view_outputrun",
    ("labelling-run-list", "POST"): "view_labellingrun",
    ("drift", "POST"): "view_driftcheck",
    ("image-mend", "POST"): "change_image",
    ("api-review-withdraw", "POST"): "change_review",
    ("api-review-run-cancel", "POST"): "change_review",
    ("api-review-run-withdraw", "POST"): "change_review",
    ("review-run-cancel", "POST"): "change_review",
    ("review-run-withdraw", "POST"): "change_review",
    ("product-import", "GET"): "change_product",
    ("product-import", "POST"): "change_product",
    ("product-import-run", "POST"): "change_product",
    ("product-import-done", "GET"): "change_product",
    ("product-import-refused", "GET"): "change_product",
}

# What a member of staff without any permission may open in the admin, and what belongs to nobody's permission.
ADMIN_FOR_STAFF = {"index", "password_change", "password_change_done", "jsi18n"}
ADMIN_FOR_ALL = {"login", "logout"}


def list_names(patterns: list[Any], namespace: str = "") -> Iterator[tuple[str, str | None, tuple[str, ...]]]:
    """Yield (namespace, name, names of the arguments) of every address."""
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from list_names(pattern.url_patterns, namespace or pattern.namespace or "")
        elif isinstance(pattern, URLPattern):
            yield namespace, pattern.name, tuple(pattern.pattern.regex.groupindex)


def create_arguments() -> dict[str, list[Any]]:
    """Create rows; return the arguments of each address that has some. The model version has no files."""
    version = create_model_version()
    product = create_product(images=["demo/1.png"])
    image = product.product_images.get().image
    run = LabellingRun.objects.create(model_version=version)
    task = LabelTask.objects.create(image=image, model_version=version, run=run, state="failed")
    suspect = SuspectedPicture.objects.create(pk=20, sha256="0" * 64, products=20)
    review = Review.objects.create(image=image, url=image.url, group="Bags", reviewer=create_member())
    reviews = ReviewRun.objects.create(group="Bags", state="done", requested_by=review.reviewer)
    update = OutputRun.objects.create(storage="outputs")
    training = TrainingRun.objects.create(recipe="default", seed=1)
    change = StageChange.objects.create(
        model_version=version, from_stage="candidate", to_stage="production", way="api", evidence_sha256="0" * 64
    )
    alarm = create_alarm(create_drift_check(version), state="acknowledged")
    by_beginning = {
        "product-detail": [product.pk],
        "product-similar": [product.pk],
        "product-export": ["csv"],
        "product-image-review": [product.pk, image.pk],
        "review-queue": ["unsure"],
        "image-explanation": [image.pk],
        "image-mend": [image.pk],
        "product-label-moved": [""],
        "thumbnail": ["0" * 64],
        "full-size": ["0" * 64],
        "data-file": ["0" * 16, "nothing.svg"],
        "experiment-file": ["nothing", "0" * 16, "nothing.svg"],
        "labelling-run-": [run.pk],
        "output-run-": [update.pk],
        "api-output-run-": [update.pk],
        "training-run-": [training.pk],
        "model-version-": [version.pk],
        "impact-": [1],
        "stage-change-": [change.pk],
        "api-stage-change-": [change.pk],
        "alarm-": [alarm.pk],
        "token-revoke": [1],
        "api-product-detail": [product.pk],
        "api-product-similar": [product.pk],
        "api-product-export": ["csv"],
        "api-image-": [image.pk],
        "api-labelling-run-": [run.pk],
        "api-training-run-": [training.pk],
        "api-model-version-": [version.pk],
        "api-alarm-": [alarm.pk],
        "api-error-picture": [-suspect.pk],
        "api-error-": [task.pk],
        "api-review-batch-": [1],
        "api-review-run-": [reviews.pk],
        "review-run-": [reviews.pk],
        "api-review-": [review.pk],
    }
    return {
        name: next((values for beginning, values in by_beginning.items() if name.startswith(beginning)), [])
        for name in TABLE
        if not name.endswith("-list") or name.startswith("api-image-")
    }


class Visitors:
    """One client that asks in everybody's name; what a call writes is taken back, so that the next does not meet it."""

    def __init__(self) -> None:
        self.client = Client()
        self.arguments = create_arguments()
        codenames = {entry.permission for row in TABLE.values() for entry in row.values()}
        self.codenames = sorted(codenames - {PUBLIC, SIGNED_IN})
        self._cookies: dict[object, str] = {"anonymous": ""}

    def call(self, who: object, method: str, *, name: str) -> int:
        """Call an address with an empty body, or with a picture where one is classified; return the status."""
        address = reverse(name, args=self.arguments.get(name, []))
        self.client.cookies.clear()
        self.client.cookies.load(self._cookies[who])
        cache.clear()  # how often one may ask is another test's
        with transaction.atomic():
            if name == "api-classify" and method == "POST":
                response = self.client.post(address, {"picture": SimpleUploadedFile("a.png", b"no picture")})
            else:
                response = getattr(self.client, method.lower())(address, content_type="application/json")
            if response.streaming:  # an export not read to its end keeps its place among those that are sent at once
                b"".join(response)
            transaction.set_rollback(True)
        return response.status_code

    def add(self, who: object, user: User) -> None:
        self.client.cookies.clear()
        self.client.force_login(user)
        self._cookies[who] = self.client.cookies.output(attrs=[], header="", sep=";")

    def get_with(self, *codenames: str) -> object:
        """Return who has exactly these permissions."""
        if codenames not in self._cookies:
            self.add(codenames, create_member(*codenames))
        return codenames

    def get_without(self, codename: str) -> object:
        """Return who is of the staff and has every permission but this one."""
        if codename not in self._cookies:
            self.add(codename, create_member(*[each for each in self.codenames if each != codename], staff=True))
        return codename


def sign_in_as(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def test_every_address_has_its_row() -> None:
    names = {name for namespace, name, _ in list_names(get_resolver().url_patterns) if namespace != "admin"}
    assert names == set(TABLE)


def list_expected(visitors: Visitors, method: str, *, name: str) -> dict[object, int]:
    """Return who calls the address by the method, and which status each expects."""
    row = TABLE[name].get(method)
    if row is None:
        refused: dict[object, int] = {"almighty": 405}
        if method == "PUT":  # before they hear that there is no such method, some are asked who they are
            asks = name.startswith("api-") and not any(entry.permission == PUBLIC for entry in TABLE[name].values())
            refused |= {"anonymous": 401, "staff": 403} if asks else {"anonymous": 405, "staff": 405}
        return refused
    if row.permission == PUBLIC:
        return {"anonymous": row.status, "staff": row.status}
    if row.permission == SIGNED_IN:
        return {"anonymous": 302, "member": row.status}
    also = [needed] if (needed := ALSO_NEEDED.get((name, method))) else []
    return {
        "anonymous": 401 if name.startswith("api-") else 302,
        # Whoever is refused with more is refused with less.
        visitors.get_without(row.permission): 403,
        visitors.get_with(row.permission, *also): row.status,
    }


def test_who_may_call_what() -> None:
    visitors = Visitors()
    visitors.add("member", create_member())
    visitors.add("staff", create_member(staff=True))
    visitors.add("almighty", User.objects.create_superuser("almighty"))
    others = {}
    for name in TABLE:
        for method in METHODS:
            expected = list_expected(visitors, method, name=name)
            found = {who: visitors.call(who, method, name=name) for who in expected}
            if found != expected:
                others[name, method] = {
                    who: (found[who], expected[who]) for who in expected if found[who] != expected[who]
                }
    assert others == {}, "found, expected"


def list_admin_addresses() -> list[tuple[str, str]]:
    """Name and address of every page of the admin, as far as it has a name; rows are those of id 1."""
    known = {"object_id": "1", "content_type_id": "1", "app_label": "catalog", "id": "1", "pk": "1"}
    found = []
    for namespace, name, names in list_names(get_resolver().url_patterns):
        if namespace == "admin" and name not in (None, "view_on_site"):
            found.append((name, reverse(f"admin:{name}", kwargs={key: known[key] for key in names})))
    return found


def test_the_admin_is_closed_to_whoever_is_not_of_its_staff() -> None:
    addresses = list_admin_addresses()
    assert len(addresses) > 50
    for user in (None, create_member("view_labeltask", "change_modelversion")):
        client = sign_in_as(user)
        for name, address in addresses:
            for method in ("get", "post"):
                response = getattr(client, method)(address)
                if name not in ADMIN_FOR_ALL:
                    assert response.status_code == 302, address
                    assert response.headers["Location"].startswith("/admin/login/?next="), address


def test_the_admin_shows_nothing_to_staff_without_permissions() -> None:
    client = sign_in_as(create_member(staff=True))
    opened = set()
    for name, address in list_admin_addresses():
        if name in ADMIN_FOR_ALL:
            continue
        status = client.get(address).status_code
        if status == 200:
            opened.add(name)
        else:
            # A history of a row that is not there leads back to the index before anything else is asked. The user who
            # asks may be the row with id 1: that history is refused.
            refusals = (302, 403) if name.endswith("_history") else (403, 404)
            assert status in refusals, address
            assert client.post(address).status_code in (*refusals, 405), name
    assert opened == ADMIN_FOR_STAFF

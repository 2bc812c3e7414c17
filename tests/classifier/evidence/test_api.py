"""The classifier's part of the API: for those who are signed in and may see it."""

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.test import Client

from classifier.models import ModelVersion
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import label_everything
from tests.support.members import build_token_header

pytestmark = pytest.mark.django_db


@pytest.fixture
def member() -> User:
    """A user who may see classifications."""
    user = User.objects.create_user("member")
    user.user_permissions.add(Permission.objects.get(codename="view_classification"))
    return user


def test_an_images_classifications_come_newest_first(client: Client, member: User) -> None:
    image = create_painted_image("Sandal")
    create_product(images=[image])
    names = []
    for _ in range(2):
        ModelVersion.objects.update(stage=ModelVersion.Stage.RETIRED)
        names.append(create_model_version().name)
        label_everything()
    client.force_login(member)
    body = client.get(f"/api/v1/images/{image.pk}/classifications/").json()
    assert [row["model_version"] for row in body["results"]] == names[::-1]
    row = body["results"][0]
    assert (row["group"], row["garment"], row["abstained"]) == ("Footwear", "Sandal", False)
    assert row["group_probabilities"]["Footwear"] == pytest.approx(0.922222, abs=1e-6)
    assert row["garment_probabilities"]["Sandal"] == pytest.approx(0.9)
    assert "embedding" not in row


def test_classifications_need_a_sign_in_and_a_permission(client: Client, member: User) -> None:
    address = f"/api/v1/images/{create_painted_image().pk}/classifications/"
    response = client.get(address)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Token")
    assert response.headers["Content-Type"] == "application/problem+json"
    client.force_login(User.objects.create_user("customer"))
    assert client.get(address).status_code == 403
    client.logout()
    header = build_token_header(member)
    response = client.get(address, headers=header)
    assert (response.status_code, response.json()["results"]) == (200, [])
    assert client.get(address, {"token": header["Authorization"].removeprefix("Token ")}).status_code == 401


def test_an_image_that_does_not_exist_is_not_found(client: Client, member: User) -> None:
    client.force_login(member)
    for key in ("0", "1" + "0" * 30):
        response = client.get(f"/api/v1/images/{key}/classifications/")
        assert (response.status_code, response.headers["Content-Type"]) == (404, "application/problem+json")


def test_the_schema_is_valid_and_complete(client: Client, tmp_path) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(tmp_path / "schema.yml"))
    schema = client.get("/api/v1/schema/", headers={"Accept": "application/vnd.oai.openapi+json"}).json()
    assert sorted(schema["paths"]) == [
        "/api/v1/alarms/",
        "/api/v1/alarms/{id}/acknowledge/",
        "/api/v1/alarms/{id}/close/",
        "/api/v1/alarms/{id}/follow-up/",
        "/api/v1/classify/",
        "/api/v1/drift-checks/",
        "/api/v1/errors/",
        "/api/v1/errors/{id}/ignore/",
        "/api/v1/errors/{id}/picture/",
        "/api/v1/errors/{id}/retry/",
        "/api/v1/figures/",
        "/api/v1/images/{image_id}/classifications/",
        "/api/v1/labelling-runs/",
        "/api/v1/labelling-runs/{id}/",
        "/api/v1/labelling-runs/{id}/cancel/",
        "/api/v1/labels/changes/",
        "/api/v1/model-versions/",
        "/api/v1/model-versions/rollback/",
        "/api/v1/model-versions/{id}/",
        "/api/v1/model-versions/{id}/activate/",
        "/api/v1/model-versions/{id}/impact/",
        "/api/v1/model-versions/{id}/stage-changes/",
        "/api/v1/output-runs/",
        "/api/v1/output-runs/{id}/",
        "/api/v1/output-runs/{id}/cancel/",
        "/api/v1/products/",
        "/api/v1/products/export.{suffix}",
        "/api/v1/products/{id}/",
        "/api/v1/products/{id}/similar/",
        "/api/v1/queues/",
        "/api/v1/review-batches/",
        "/api/v1/review-batches/{id}/",
        "/api/v1/review-batches/{id}/renew/",
        "/api/v1/review-runs/{id}/",
        "/api/v1/review-runs/{id}/cancel/",
        "/api/v1/review-runs/{id}/withdraw/",
        "/api/v1/reviews/",
        "/api/v1/reviews/{id}/withdraw/",
        "/api/v1/stage-changes/",
        "/api/v1/stage-changes/{id}/",
        "/api/v1/stage-changes/{id}/approve/",
        "/api/v1/stage-changes/{id}/reject/",
        "/api/v1/stage-changes/{id}/withdraw/",
        "/api/v1/training-runs/",
        "/api/v1/training-runs/{id}/",
        "/api/v1/training-runs/{id}/cancel/",
        "/api/v1/training-runs/{id}/train/",
    ]
    parameters = {parameter["name"] for parameter in schema["paths"]["/api/v1/products/"]["get"]["parameters"]}
    assert parameters == {
        "as_of",
        "country",
        "group",
        "garment",
        "status",
        "source",
        "model_version",
        "min_confidence",
        "confidence_below",
        "garment_unsure",
        "evidence",
        "reason",
        "search",
        "ordering",
        "page_size",
        "cursor",
    }
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    assert [operation["operationId"] for operation in operations if not 0 < len(operation["summary"]) < 130] == []
    problems = schema["paths"]["/api/v1/products/"]["get"]["responses"]["400"]["content"]
    assert list(problems) == ["application/problem+json"]

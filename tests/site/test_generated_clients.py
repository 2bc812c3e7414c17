"""Programs that others generate from the served schema do the site's jobs: list, read, classify, review, run."""

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from catalog.models import Product
from classifier.models import LabellingRun, Review
from config.accounts.services import create_token
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier, create_model_version, create_painted_image
from tests.support.labels import create_labelled_product
from tests.support.members import create_member

pytestmark = [pytest.mark.processes, pytest.mark.long]

PROGRAMS = Path(sys.executable).parent
PERMISSIONS = [
    *("view_classification", "view_productlabel", "add_review"),
    *(f"{verb}_labellingrun" for verb in ("view", "add", "change")),
]


@dataclass
class Site:
    """A site that answers over a socket, what there is on it, and who calls it."""

    address: str
    key: str
    schema: Path
    bag: Product
    unlabelled: Product
    picture: bytes


@pytest.fixture
def site(live_server: LiveServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr("classifier.evidence.api.get_classifier", lambda version: FakeClassifier())
    monkeypatch.syspath_prepend(tmp_path)
    create_model_version()
    schema = tmp_path / "schema.json"
    schema.write_bytes(Client().get("/api/v1/schema/?format=json").content)
    bag = create_labelled_product("Étui", group="Bags", garment="Bag")
    create_labelled_product("Boot", group="Footwear", garment="Ankle boot")
    create_labelled_product("Coat", group="Upper part", garment="Coat")
    image = create_painted_image("Sandal")
    _, key = create_token(create_member(*PERMISSIONS), name="program", days=1)
    with default_storage.open(image.url) as file:
        picture = file.read()
    return Site(live_server.url, key, schema, bag, create_product("Shirt", images=[image.url]), picture)


def generate(*command: str) -> None:
    """Run a generator; what it says is shown if it fails."""
    # Java compiles what runs for seconds no better than it has to.
    variables = os.environ | {"JAVA_OPTS": "-XX:TieredStopAtLevel=1"}
    done = subprocess.run(
        [str(PROGRAMS / command[0]), *command[1:]], capture_output=True, text=True, check=False, env=variables
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_client_of_openapi_python_client_does_the_jobs(site: Site, tmp_path: Path) -> None:
    name = "plain_client"
    options = tmp_path / "options.json"
    options.write_text('{"post_hooks": []}')  # nobody looks at its form
    generate(
        *("openapi-python-client", "generate", "--path", str(site.schema), "--meta", "none"),
        *("--output-path", str(tmp_path / name), "--config", str(options)),
    )
    package: Any = importlib.import_module(name)
    models: Any = importlib.import_module(f"{name}.models")
    file: Any = importlib.import_module(f"{name}.types").File
    client = package.AuthenticatedClient(base_url=site.address, token=site.key, prefix="Token")

    def call(operation: str, *arguments: Any, **parameters: Any) -> Any:
        return importlib.import_module(f"{name}.api.{operation}").sync(*arguments, client=client, **parameters)

    groups = [models.ProductsListGroupItem(group) for group in ("Bags", "Footwear")]
    listed = call("products.products_list", group=groups, page_size=50)
    assert [(row.title, row.label.group.value) for row in listed.results] == [("Étui", "Bags"), ("Boot", "Footwear")]
    assert [row.id for row in call("products.products_list", search="etui").results] == [site.bag.pk]
    detail = call("products.products_retrieve", site.unlabelled.pk)
    (image,) = detail.images
    assert (detail.label.status.value, detail.label.group, image.label.group_probabilities) == ("pending", None, None)
    (said,) = call("classify.classify_create", body=models.PictureRequest(file(site.picture, "sandal.png")))
    assert (said.path, said.group.value, said.garment.value, said.error) == ("sandal.png", "Footwear", "Sandal", None)
    review = models.ReviewRequest(image=image.id, group=models.GroupEnum("Footwear"))
    assert (call("reviews.reviews_create", body=review).garment.value, Review.objects.get().group) == ("", "Footwear")
    run = call("labelling_runs.labelling_runs_create", body=models.LabellingRunRequest(limit=1))
    cancelled = call("labelling_runs.labelling_runs_cancel_create", run.id)
    assert (cancelled.id, LabellingRun.objects.get().state) == (run.id, "cancelled")
    csv = call("products.products_export_retrieve", models.ProductsExportRetrieveSuffix("csv"), search="etui")
    assert f"{site.bag.pk},Étui," in csv
    refused = call("labelling_runs.labelling_runs_cancel_create", run.id + 1)
    assert (refused.status, refused.title) == (404, "Not Found")


def test_a_client_of_openapi_generator_does_the_jobs(site: Site, tmp_path: Path) -> None:
    name = "strict_client"
    generate(
        *("openapi-generator-cli", "generate", "-g", "python", "-i", str(site.schema)),
        *("-o", str(tmp_path), "--package-name", name, "--global-property", "apis,models,supportingFiles"),
    )
    package: Any = importlib.import_module(name)
    configuration = package.Configuration(
        host=site.address, api_key={"tokenAuth": site.key}, api_key_prefix={"tokenAuth": "Token"}
    )
    with package.ApiClient(configuration) as client:
        products, runs = package.ProductsApi(client), package.LabellingRunsApi(client)
        listed = products.products_list(group=["Bags", "Footwear"], page_size=50)
        assert [(row.title, row.label.group) for row in listed.results] == [("Étui", "Bags"), ("Boot", "Footwear")]
        assert [row.id for row in products.products_list(search="etui").results] == [site.bag.pk]
        detail = products.products_retrieve(site.unlabelled.pk)
        (image,) = detail.images
        label = image.label
        assert (detail.label.status, detail.label.group, label.group_probabilities) == ("pending", None, None)
        (said,) = package.ClassifyApi(client).classify_create(picture=("sandal.png", site.picture))
        assert (said.path, said.group, said.garment, said.error) == ("sandal.png", "Footwear", "Sandal", None)
        one = package.ReviewsRequest(package.ReviewRequest(image=image.id, group="Footwear"))
        assert (package.ReviewsApi(client).reviews_create(reviews_request=one).garment, Review.objects.get().group) == (
            "",
            "Footwear",
        )
        run = runs.labelling_runs_create(labelling_run_request=package.LabellingRunRequest(limit=1))
        assert runs.labelling_runs_cancel_create(run.id).id == run.id
        assert LabellingRun.objects.get().state == "cancelled"
        with pytest.raises(package.exceptions.NotFoundException, match="Not Found"):
            runs.labelling_runs_cancel_create(run.id + 1)

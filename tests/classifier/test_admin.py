"""What every page of the admin says of a row: names in place of ids, no number with sixteen digits, no JSON."""

import re

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from catalog.models import ProductLabel
from classifier.models import (
    Classification,
    CleaningRun,
    LabellingRun,
    LabelTask,
    ModelVersion,
    Review,
    TrainingRun,
)
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import create_labelled_product, label_everything
from tests.support.members import create_member

pytestmark = pytest.mark.django_db


def test_rows_are_shown_in_words(admin_client: Client) -> None:
    version = create_model_version()
    version.metrics = {"accuracy": 0.9999998977855004}
    version.save()
    create_product(images=[create_painted_image("Bag")])
    label_everything()
    create_labelled_product(confidence=0.9999998977855004)
    Classification.objects.update(confidence=0.9999998977855004)
    LabelTask.objects.update(former={"state": "done"}, state="retry", error_code="timeout", next_try_at=timezone.now())
    TrainingRun.objects.create(recipe="default", seed=1, progress={"phase": "training", "epoch": 2, "epochs": 18})
    CleaningRun.objects.create(figures={"images": 2, "files": 4, "bytes": 2048})
    seen = set()
    for model in admin.site._registry:
        for row in model._default_manager.order_by("-pk")[:1]:
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            pages = [reverse(f"admin:{name}_changelist"), reverse(f"admin:{name}_change", args=[row.pk])]
            for page in pages:
                found = re.findall(r"\d\.\d{5,}|>\{&quot;\w+&quot;:|\+00:00", admin_client.get(page).text)
                assert not found, f"expected words on {page}, found {found}"
            seen.add(model)
    assert {ProductLabel, Classification, ModelVersion, LabellingRun, LabelTask, TrainingRun, CleaningRun} <= seen
    assert "images 2," in admin_client.get(reverse("admin:classifier_cleaningrun_changelist")).text
    assert "100.0%" in admin_client.get(reverse("admin:catalog_productlabel_changelist")).text


def test_rows_about_others_are_called_by_the_names_of_those(admin_client: Client) -> None:
    version = create_model_version()
    image = create_painted_image("Bag", url="demo/bag.png")
    product = create_product("Tote", images=[image])
    label_everything()
    review = Review.objects.create(image=image, url=image.url, group="Bags", reviewer=create_member())
    named = {
        review: f"Bags for demo/bag.png by {review.reviewer.username}",
        Classification.objects.get(): f"Bags for demo/bag.png by {version.name}",
        LabelTask.objects.get(): f"label task {LabelTask.objects.get().pk} of demo/bag.png (done)",
        ProductLabel.objects.get(): "Bags for Tote",
    }
    for row, name in named.items():
        address = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
        assert f"<h2>{name}</h2>" in admin_client.get(address).text
    with CaptureQueriesContext(connection) as queries:
        rows = [model.objects.get() for model in (Review, Classification, LabelTask, ProductLabel)]
        assert f"for product {product.pk}" in str(rows[3])
        assert f"by reviewer {review.reviewer_id}" in str(rows[0])
        assert f"for image {image.pk} by model version {version.pk}" in str(rows[1])
    assert len(queries) == 4

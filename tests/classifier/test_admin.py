"""What every page of the admin says of a row: no number with sixteen digits, no JSON."""

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog.models import ProductLabel
from classifier.models import Classification, CleaningRun, LabellingRun, LabelTask, ModelVersion, TrainingRun
from tests.support.factories import create_product
from tests.support.fakes import create_model_version, create_painted_image
from tests.support.labels import create_labelled_product, label_everything

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

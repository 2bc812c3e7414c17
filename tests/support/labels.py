"""Labels for tests of what lists, pages and the admin show."""

from typing import Any

from catalog.models import Product, ProductLabel
from classifier.labelling.batches import label_batch
from classifier.labelling.starting import start_labelling_run
from classifier.models import LabelTask
from tests.support.factories import create_product
from tests.support.fakes import FakeClassifier


def create_labelled_product(title: str | None = None, **label: Any) -> Product:
    """Create a product with one image and a machine's label: Trouser with confidence 0.9 unless `label` differs."""
    product = create_product(title, images=[f"https://shop.example/labelled/{Product.objects.count()}.jpg"])
    values = {"group": "Bottom part", "garment": "Trouser", "confidence": 0.9, "status": "labelled"}
    values |= {"source": "machine"} | label
    ProductLabel.objects.filter(product=product).update(**values)
    return Product.objects.get(pk=product.pk)


def label_everything(**options: Any) -> None:
    """Label every picture, as a worker would, with the fake classifier; a model version must be active."""
    start_labelling_run(**options)
    due = list(LabelTask.objects.due().values_list("pk", flat=True))
    label_batch(due, get_classifier=lambda _: FakeClassifier())

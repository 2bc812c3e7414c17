"""Products and their first pictures with their labels, read for an export in batches of constant size."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django.db.models import QuerySet

from catalog.browse.listing import PRODUCT_ORDERINGS
from catalog.interchange.stored import find_stored_products
from catalog.interchange.writing import ExportedPicture, ExportedProduct, LabelValue, format_time
from catalog.labels import LabelSummary, get_label_summary
from catalog.models import Product, ProductImages
from config.db.paging import KeysetOrdering
from config.db.statements import allow_long_statements

#: Products in a batch; its five queries take 75 ms of a catalogue of a million, and 50 ms go into making it a file.
BATCH_SIZE: Final = 1_000


def list_exported_products(
    products: QuerySet[Product], *, ordering: KeysetOrdering = PRODUCT_ORDERINGS["id"], country: str = ""
) -> Iterator[list[ExportedProduct]]:
    """Yield the products of the queryset in batches, with every image and text, or only the text of one country.

    Five short queries for each batch and none that lasts, so a reader may take all the time it wants. What is written
    meanwhile may be in the export or not.
    """
    for ids in _list_ids(products, ordering=ordering):
        stored = find_stored_products(ids)
        labels = _find_labels(ids)
        batch = []
        for product_id in ids:
            product = stored.get(product_id)
            if product is None or product_id not in labels:  # deleted since the ids were read
                continue
            if country:
                texts = product.descriptions
                product.descriptions = {code: texts[code] for code in [country.lower()] if code in texts}
            label = labels[product_id]
            batch.append(ExportedProduct(product=product, label=label))
        yield batch


def list_exported_pictures(
    products: QuerySet[Product], *, ordering: KeysetOrdering = PRODUCT_ORDERINGS["id"]
) -> Iterator[list[ExportedPicture]]:
    """Yield the image with index 0 of each product of the queryset that has one, in batches, three queries for each."""
    for ids in _list_ids(products, ordering=ordering):
        places = ProductImages.objects.filter(product__in=ids, image_index=0).select_related("image__stored_picture")
        images = {place.product_id: place.image for place in places}
        labels = _find_labels(ids)
        yield [
            ExportedPicture(
                product_id=product_id,
                image=images[product_id],
                label=labels[product_id],
            )
            for product_id in ids
            if product_id in images and product_id in labels
        ]


def _list_ids(products: QuerySet[Product], *, ordering: KeysetOrdering) -> Iterator[list[int]]:
    """Yield the ids of the products in the order, batch by batch, each by a query that starts behind the last one."""
    rows = products.order_by(*ordering.order_by(reverse=False)).values_list(*ordering.fields)
    beyond: Sequence[Any] | None = None
    while True:
        page = rows if beyond is None else rows.filter(ordering.beyond(list(beyond), reverse=False))
        # Filters that few products meet may read the whole table for a batch.
        with allow_long_statements():
            batch = list(page[:BATCH_SIZE])
        if batch:
            yield [row[-1] for row in batch]
        if len(batch) < BATCH_SIZE:
            return
        beyond = batch[-1]


def _find_labels(product_ids: Sequence[int]) -> dict[int, Mapping[str, LabelValue]]:
    products = Product.objects.filter(pk__in=product_ids).select_related("label__model_version")
    return {product.pk: _describe(get_label_summary(product)) for product in products}


def _describe(label: LabelSummary) -> Mapping[str, LabelValue]:
    return {
        "group": label.group,
        "garment": label.garment,
        "confidence": label.confidence,
        "status": label.status,
        "source": label.source,
        "reason": label.reason,
        "model_version": label.model_version,
        "labelled_at": format_time(label.labelled_at),
    }

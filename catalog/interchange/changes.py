"""What a batch of records changes in the catalogue: found by comparison, written in bulk."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from catalog.interchange.disk_map import DiskMap
from catalog.interchange.records import REFUSED, Description, ProductRecord, clean_description
from catalog.interchange.stored import StoredProduct, find_similar_product_ids, find_stored_products
from catalog.models import Image, Product, ProductDescription, ProductImages
from catalog.search.index import adding_words
from catalog.values import RecordError, clean_image_url, clean_title
from config.db.bulk import draw_ids, insert_missing_rows, insert_or_update_rows, insert_rows
from config.web.texts import extract_text

Value = TypeVar("Value")


@dataclass(slots=True)
class ProductChange:
    """What one record asks of the database: `stored` is its product as it is there, None where it is new.

    `product_id` is None as long as a new product has none. `new_texts` and `other_texts` hold (country, original text,
    translated text): those of a country that has none yet, and, by the id of its row, those that differ.
    """

    record: ProductRecord
    stored: StoredProduct | None
    product_id: int | None
    changes_title: bool
    changes_images: bool
    new_texts: list[tuple[str, str | None, str | None]]
    other_texts: dict[int, tuple[str, str | None, str | None]]

    @property
    def is_needed(self) -> bool:
        """Return whether the database differs from the record."""
        return self.changes_title or self.changes_images or bool(self.new_texts or self.other_texts)


def find_changes(
    records: list[ProductRecord], *, stored: Mapping[int, StoredProduct], seen: DiskMap
) -> list[ProductChange]:
    """Return one change for each record, in their order.

    `stored` holds the products that the records name by id. A record without id is compared with the first product that
    has its title and its images, unless the file named that one already.
    """
    similar = _find_similar(records, seen=seen)
    return [
        _compare(
            record,
            stored=similar.get((record.title, record.images or ())) if record.id is None else stored.get(record.id),
        )
        for record in records
    ]


def write_changes(changes: Collection[ProductChange]) -> set[int]:
    """Write the changes inside the caller's transaction; every change has its `product_id` afterwards.

    Return the products that nobody else can know of before the transaction ends.
    """
    _number_products(changes)
    _write_images([change for change in changes if change.changes_images])
    new = {change.product_id: change for change in changes if change.stored is None and change.product_id is not None}
    with adding_words({id: _join_texts(change.record) for id, change in new.items()}) as created:
        _write_texts(new.values())
    _write_texts([change for change in changes if change.stored is not None])
    return created


def _join_texts(record: ProductRecord) -> str:
    """Return all that a search finds the product by."""
    descriptions = (extract_text(text) for texts in record.descriptions.values() for text in texts if text)
    return " ".join([record.title, *descriptions])


def _write_texts(changes: Collection[ProductChange]) -> None:
    _write_descriptions(changes)
    _write_products(changes)


def _find_similar(records: list[ProductRecord], *, seen: DiskMap) -> dict[tuple[str, tuple[str, ...]], StoredProduct]:
    """Return the products that records without id may mean, by title and images."""
    ids = find_similar_product_ids([(record.title, record.images or ()) for record in records if record.id is None])
    # What the file names by id has, or is about to have, what its own row says.
    named = {id for id, digest in seen.find(ids).items() if digest != REFUSED}
    ids -= named.union(record.id for record in records if record.id is not None)
    similar: dict[tuple[str, tuple[str, ...]], StoredProduct] = {}
    for product in sorted(find_stored_products(ids).values(), key=lambda product: product.id):
        similar.setdefault((product.title, tuple(product.images)), product)
    return similar


def _compare(record: ProductRecord, *, stored: StoredProduct | None) -> ProductChange:
    new_texts, other_texts = [], {}
    for country, texts in record.descriptions.items():
        old = stored.descriptions.get(country) if stored else None
        if old is None:
            new_texts.append((country, *texts))
        elif _differs((old.original_text, old.translated_text), texts, rule=_clean_texts):
            other_texts[old.id] = (country, *texts)
    if stored is None or record.images is None:
        changes_images = bool(record.images)
    else:
        changes_images = stored.has_gaps or _differs(tuple(stored.images), record.images, rule=_clean_images)
    return ProductChange(
        record=record,
        stored=stored,
        product_id=stored.id if stored else record.id,
        changes_title=stored is None or _differs(stored.title, record.title, rule=clean_title),
        changes_images=changes_images,
        new_texts=new_texts,
        other_texts=other_texts,
    )


def _differs(stored: Value, given: Value, *, rule: Callable[[Value], Value]) -> bool:
    """Return whether what is stored means something else: white space around it, which no import writes, is nothing."""
    if stored == given:
        return False
    try:
        return rule(stored) != given
    except RecordError:
        return True


def _clean_images(urls: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(clean_image_url, urls))


def _clean_texts(texts: Description) -> Description:
    return clean_description(texts[0], translated_text=texts[1])


def _number_products(changes: Collection[ProductChange]) -> None:
    """Give every new product an id, so that whatever refers to it can be written in any order."""
    given_ids = [change.product_id for change in changes if change.stored is None and change.product_id is not None]
    without_id = [change for change in changes if change.product_id is None]
    drawn_ids = draw_ids(Product, count=len(without_id), largest_given=max(given_ids, default=0))
    for change, product_id in zip(without_id, drawn_ids, strict=True):
        change.product_id = product_id


def _write_products(changes: Collection[ProductChange]) -> None:
    # Somebody else may add one of them meanwhile; the title of the file stands then.
    insert_or_update_rows(
        Product,
        fields=("id", "title"),
        rows=[(change.product_id, change.record.title) for change in changes if change.changes_title],
    )


def _write_images(changes: Collection[ProductChange]) -> None:
    urls = {url for change in changes for url in change.record.images or ()}
    # In one order, so that two writers of the same images wait for each other instead of both waiting for ever.
    ids = insert_missing_rows(Image, field="url", values=sorted(urls))
    replaced = [change.product_id for change in changes if change.stored and change.stored.images]
    if replaced:
        ProductImages.objects.filter(product__in=replaced).delete()
    insert_rows(
        ProductImages,
        fields=("product", "image", "image_index"),
        rows=(
            (change.product_id, ids[url], image_index)
            for change in changes
            for image_index, url in enumerate(change.record.images or ())
        ),
    )


def _write_descriptions(changes: Collection[ProductChange]) -> None:
    insert_rows(
        ProductDescription,
        fields=("product", "country_code", "original_text", "translated_text"),
        rows=((change.product_id, *texts) for change in changes for texts in change.new_texts),
    )
    ProductDescription.objects.bulk_create(
        [
            ProductDescription(
                id=id,
                product_id=change.stored.id,
                country_code=country,
                original_text=original,
                translated_text=translated,
            )
            for change in changes
            if change.stored
            for id, (country, original, translated) in change.other_texts.items()
        ],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["original_text", "translated_text"],
    )

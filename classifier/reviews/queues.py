"""The queues of pictures that wait for a person: what each is for, how many wait, and which come next.

A queue never gives out a product that somebody has open; `batches` lends what it chooses.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Exists, F, OuterRef
from django.http import QueryDict

from catalog.browse.filters import ProductListQuery
from catalog.browse.listing import get_product_ordering, list_labelled_products
from catalog.browse.summary import get_catalogue_summary
from catalog.models import ProductLabel
from catalog.search.query import TextSearch
from classifier.models import QueueName, Review
from classifier.reviews.choices import Choice, is_open
from classifier.reviews.choosing import choose_audit, choose_suspicious, choose_unsure, count_audit
from classifier.reviews.second_look import (
    choose_label_errors,
    choose_second_look,
    count_label_errors,
    count_second_looks,
    mix_in_controls,
)
from config.db.paging import get_page
from config.web.queries import check_parameters

Status = ProductLabel.Status


@dataclass(frozen=True, slots=True)
class Queue:
    """Products in the order in which a person does most by labelling them.

    `count` returns how many wait, or None where nobody counted; `choose` at most so many for this reviewer.
    `parameters` are those of the list of products whose queue it is.
    """

    name: str
    title: str
    sentence: str
    count: Callable[[], int | None]
    choose: Callable[[User, int], Sequence[Choice]]
    parameters: Mapping[str, Any] = field(default_factory=dict)


def find_queue(name: str, parameters: Mapping[str, Any]) -> Queue:
    """Return the queue of this name; of `list` the one of the products that the list's parameters choose.

    Raises `KeyError` for an unknown name, and `ValidationError` for parameters that the list does not accept.
    """
    return build_list_queue(parameters) if name == QueueName.LIST else QUEUES[name]


def build_list_queue(parameters: Mapping[str, Any]) -> Queue:
    """Return the queue of the products that a list shows, in its order; those that the reviewer labelled are left out.

    Raises `ValidationError` for parameters that the list does not accept.
    """
    given = QueryDict(mutable=True)
    for name, value in parameters.items():
        given.setlist(name, value if isinstance(value, list) else [str(value)])
    criteria = check_parameters(ProductListQuery, given).get_criteria()

    def choose(reviewer: User, size: int) -> list[Choice]:
        own = Review.objects.filter(pk=OuterRef("label__review_id"), reviewer=reviewer)
        products = list_labelled_products(replace(criteria, search="")).filter(
            ~is_open("pk", "label__image_id"), ~Exists(own), label__image__stored_picture__url=F("label__image__url")
        )
        page = get_page(
            products,
            ordering=get_product_ordering(criteria),
            page_size=size,
            search=TextSearch(criteria.search),
        )
        return [Choice(product.pk, product.label.image_id) for product in page.rows]

    return Queue(
        QueueName.LIST,
        "These products",
        "The products of a list, in its order, without those that you labelled.",
        count=lambda: None,
        choose=choose,
        parameters=parameters,
    )


def _count_unsure() -> int | None:
    summary = get_catalogue_summary()
    return summary.statuses[Status.NEEDS_REVIEW] - summary.placeholders if summary else None


QUEUES = {
    queue.name: queue
    for queue in (
        Queue(
            QueueName.UNSURE,
            "Unsure",
            "Labels that picture and texts leave open, those first that teach most; every other one is drawn at random "
            "from all products, shown without its label, and measures how good the catalogue is.",
            count=_count_unsure,
            choose=mix_in_controls(choose_unsure),
        ),
        Queue(
            QueueName.SUSPICIOUS,
            "Suspicious",
            "Sure labels that pictures like theirs, other pictures or texts of theirs contradict.",
            count=lambda: None,
            choose=choose_suspicious,
        ),
        Queue(
            QueueName.AUDIT,
            "Audit",
            "Products drawn at random, shown without their label: only these say how much of the catalogue is right.",
            count=count_audit,
            choose=mix_in_controls(choose_audit),
        ),
        Queue(
            QueueName.SECOND_LOOK,
            "Second look",
            "What somebody else labelled, shown without that label: where two disagree a third decides.",
            count=count_second_looks,
            choose=mix_in_controls(choose_second_look),
        ),
        Queue(
            QueueName.LABEL_ERRORS,
            "Label errors",
            "What people labelled and all others together contradict: shown without either, to look at again.",
            count=count_label_errors,
            choose=choose_label_errors,
        ),
    )
}

"""What a list of products can be narrowed by and ordered by: criteria, and the parameters that pages and API take."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from rest_framework import serializers

from catalog.labels import match_evidence
from catalog.models import ProductLabel
from catalog.values import RecordError, clean_country
from classifier.ml.labels import GARMENTS, GROUPS
from config.db.paging import KeysetOrdering
from config.web.queries import MAXIMUM_SEARCH_WORDS, AnyOfField, PageQuery, pick_parameters

COUNTRY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}\Z"

#: What a list of products can be ordered by. Only products that have a confidence have a place in an order of it.
PRODUCT_ORDERINGS: Mapping[str, KeysetOrdering] = {
    ordering.name: ordering
    for ordering in (
        KeysetOrdering("id", ("pk",)),
        KeysetOrdering("-id", ("pk",), descending=True),
        KeysetOrdering("confidence", ("label__confidence", "label__product_id")),
        KeysetOrdering("-confidence", ("label__confidence", "label__product_id"), descending=True),
    )
}

#: What may stand beside the time of a list's labels, and what is said of the rest.
_TOGETHER_WITH_TIME = frozenset(("as_of", "country", "page_size", "cursor"))
_NOT_TOGETHER = "Expected no filter and no order but that by id together with as_of."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductCriteria:
    """Which products a list shows; what is empty or None does not narrow it.

    Of `group`, `garment`, `status`, `reason` and `evidence` the label has one, and `model_version` are the ids of
    versions it may have come from. `garment_unsure` is what it says of its garment. A confidence is at least
    `min_confidence` and less than `confidence_below`. `search` is a `TextSearch`. `country` chooses the description
    only.
    """

    country: str = "us"
    group: Sequence[str] = ()
    garment: Sequence[str] = ()
    garment_unsure: bool | None = None
    status: Sequence[str] = ()
    reason: Sequence[str] = ()
    evidence: Sequence[str] = ()
    source: str = ""
    model_version: Sequence[int] = ()
    min_confidence: float | None = None
    confidence_below: float | None = None
    search: str = ""
    ordering: str = "id"

    @property
    def label_conditions(self) -> Q:
        """What the criteria ask of the label's columns; false where they ask nothing."""
        wanted = {
            "label__group__in": self.group,
            "label__garment__in": self.garment,
            "label__garment_unsure": self.garment_unsure,
            "label__status__in": self.status,
            "label__reason__in": self.reason,
            "label__source": self.source,
            "label__model_version__in": self.model_version,
            "label__confidence__gte": self.min_confidence,
            "label__confidence__lt": self.confidence_below,
        }
        conditions = Q(**{lookup: value for lookup, value in wanted.items() if value not in ("", (), None)})
        return conditions & match_evidence(self.evidence, path="label__") if self.evidence else conditions


def list_model_versions() -> QuerySet[Any]:
    """Return the model versions that labels may come from, newest first; the catalogue knows no more of them."""
    versions: Any = ProductLabel._meta.get_field("model_version").related_model
    found: QuerySet[Any] = versions.objects.order_by("-pk")
    return found


class ProductDetailQuery(serializers.Serializer[dict[str, Any]]):
    """The country of a product's description."""

    country = serializers.RegexField(
        COUNTRY_PATTERN,
        required=False,
        help_text="ISO 3166 code of the description's country; case does not matter. Default us.",
    )

    def validate_country(self, value: str) -> str:
        """Refuse what names no country, which would find no description."""
        try:
            clean_country(value)
        except RecordError as error:
            raise serializers.ValidationError(error.sentence) from error
        return value


class ProductListQuery(ProductDetailQuery, PageQuery):
    """The filters, the order and the page of a list of products. An empty value is the same as none."""

    group = AnyOfField(choices=GROUPS, required=False, help_text="Group of the current label; of several, any of them.")
    garment = AnyOfField(
        choices=GARMENTS, required=False, help_text="Garment of the current label; of several, any of them."
    )
    garment_unsure = serializers.BooleanField(
        allow_null=True,
        required=False,
        help_text="Whether the current label says that the group stands, but the garment within it is not sure.",
    )
    status = AnyOfField(
        choices=ProductLabel.Status.choices,
        required=False,
        help_text="Status of the current label; of several, any of them.",
    )
    reason = AnyOfField(
        choices=ProductLabel.Reason.choices,
        required=False,
        help_text="Why the current label waits for a person; of several, any of them.",
    )
    evidence = AnyOfField(
        choices=ProductLabel.Evidence.choices,
        required=False,
        help_text="On what the current label of a machine stands; of several, any of them.",
    )
    source = serializers.ChoiceField(  # type: ignore[assignment]  # shadows Field.source
        ProductLabel.Source.choices, required=False, allow_blank=True, help_text="Who gave the current label."
    )
    model_version = serializers.CharField(
        max_length=255,
        required=False,
        allow_blank=True,
        help_text="The name of the model version that the current label came from.",
    )
    min_confidence = serializers.FloatField(
        min_value=0.0, max_value=1.0, required=False, help_text="The label's confidence is at least this."
    )
    confidence_below = serializers.FloatField(
        min_value=0.0, max_value=1.0, required=False, help_text="The label's confidence is less than this."
    )
    search = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text=(
            f"Words that the title or a description contains, {MAXIMUM_SEARCH_WORDS} at most, parts of words included, "
            "or a product's id. Case, accents and typography do not matter."
        ),
    )
    ordering = serializers.ChoiceField(
        list(PRODUCT_ORDERINGS),
        required=False,
        allow_blank=True,
        help_text="Default id. An order by confidence leaves out products that have no confidence.",
    )

    def validate_model_version(self, value: str) -> tuple[int, ...]:
        """Return the ids of the versions of this name, which the label's column is compared with; none without one."""
        found = tuple(list_model_versions().filter(name=value).values_list("pk", flat=True)) if value else ()
        if value and not found:
            raise serializers.ValidationError(f"Expected the name of a model version; received {value!r}.")
        return found

    def validate_min_confidence(self, value: float) -> float:
        """Refuse "nan", which is neither below 0 nor above 1."""
        if math.isnan(value):
            raise serializers.ValidationError("Expected a number from 0 to 1; received nan.")
        return value

    validate_confidence_below = validate_min_confidence

    def validate_search(self, value: str) -> str:
        """Refuse a search whose query would be long to plan and slow to run."""
        words = len(value.split())
        if words > MAXIMUM_SEARCH_WORDS:
            raise serializers.ValidationError(f"Expected at most {MAXIMUM_SEARCH_WORDS} words; received {words}.")
        return value

    def get_criteria(self, **defaults: Any) -> ProductCriteria:
        """Return the criteria of a valid query; `defaults` hold where the query says nothing."""
        known = {field.name for field in fields(ProductCriteria)}
        given = {name: value for name, value in self.validated_data.items() if name in known and value != ""}
        return ProductCriteria(**(defaults | given))


class PastQuery(serializers.Serializer[dict[str, Any]]):
    """The time of the labels; without it they are the present ones."""

    as_of = serializers.DateTimeField(
        required=False,
        help_text="The labels as they were at this time, as 2026-05-01T00:00:00Z; without a zone it is UTC.",
    )

    def validate_as_of(self, value: datetime) -> datetime:
        """Refuse a time to come, of which nobody knows."""
        if value > timezone.now():
            raise serializers.ValidationError("Expected a time that is not to come.")
        return value

    def get_time(self) -> datetime | None:
        """Return the time that a valid query names, or None."""
        at: datetime | None = self.validated_data.get("as_of")
        return at


class ProductPastQuery(PastQuery, ProductDetailQuery):
    """The country of a product's description, and the time of its label."""


class ProductListPastQuery(PastQuery, ProductListQuery):
    """A list of products with their present labels, or, by id and without a filter, with those of some time."""

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what would choose or order by the present label together with a time: the lists would not agree."""
        if attrs.get("as_of") is not None:
            others = {name for name, value in attrs.items() if value not in ("", (), None)} - _TOGETHER_WITH_TIME
            if attrs.get("ordering") in ("id", "-id"):
                others.discard("ordering")
            if others:
                raise serializers.ValidationError({name: [_NOT_TOGETHER] for name in sorted(others)})
        return attrs


class PlacedListQuery(ProductListQuery):
    """A list of products, and the place of one of them in it where that may change."""

    place = serializers.CharField(max_length=1000, required=False)


def keep_list_query(parameters: QueryDict, *, placed: bool = True) -> str:
    """Return the list's filters and page out of another page's address, as "?group=Bags"; empty without any.

    With them goes the place of a product, unless they are not to be `placed`.
    """
    picked, _ = pick_parameters(PlacedListQuery if placed else ProductListQuery, parameters)
    return f"?{picked.urlencode()}" if picked else ""


def add_place(query: str, place: str) -> str:
    """Return what `keep_list_query` returned without a place with this one; an empty place adds nothing."""
    return f"{query}{'&' if query else '?'}{urlencode({'place': place})}" if place else query

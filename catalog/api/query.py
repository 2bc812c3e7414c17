"""Query parameters, one place for the API and the pages."""

import math
from typing import Any, TypeVar

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.views import APIView

from classifier.listing import PRODUCT_ORDERINGS, ProductCriteria
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.models import ProductLabel

DEFAULT_PAGE_SIZE = 50
MAXIMUM_PAGE_SIZE = 100
MAXIMUM_SEARCH_WORDS = 8
COUNTRY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}\Z"


class NoQuery(serializers.Serializer[dict[str, Any]]):
    """No parameters at all."""


class PageQuery(serializers.Serializer[dict[str, Any]]):
    """Which page of a list."""

    page_size = serializers.IntegerField(
        min_value=1, max_value=MAXIMUM_PAGE_SIZE, required=False, help_text=f"Default {DEFAULT_PAGE_SIZE}."
    )
    cursor = serializers.CharField(
        max_length=1000, required=False, allow_blank=True, help_text="As the links next and previous have it."
    )

    def get_page_size(self, *, default: int = DEFAULT_PAGE_SIZE) -> int:
        """Return the page size of a valid query."""
        size: int = self.validated_data.get("page_size", default)
        return size

    def get_cursor(self) -> str:
        """Return the cursor of a valid query, empty for the first page."""
        cursor: str = self.validated_data.get("cursor", "")
        return cursor


class ProductDetailQuery(serializers.Serializer[dict[str, Any]]):
    """The country of a product's description."""

    country = serializers.RegexField(
        COUNTRY_PATTERN,
        required=False,
        help_text="Country code of the description; case does not matter. Default us.",
    )


class ProductListQuery(ProductDetailQuery, PageQuery):
    """The filters, the order and the page of a list of products. An empty value is the same as none."""

    group = serializers.ChoiceField(GROUPS, required=False, allow_blank=True, help_text="Group of the current label.")
    garment = serializers.ChoiceField(
        GARMENTS, required=False, allow_blank=True, help_text="Garment of the current label."
    )
    status = serializers.ChoiceField(
        ProductLabel.Status.choices, required=False, allow_blank=True, help_text="Status of the current label."
    )
    min_confidence = serializers.FloatField(
        min_value=0.0, max_value=1.0, required=False, help_text="The label's confidence is at least this."
    )
    search = serializers.CharField(
        max_length=200,
        required=False,
        allow_blank=True,
        help_text=(
            f"Words that the title or a description contains, {MAXIMUM_SEARCH_WORDS} at most, parts of words included; "
            "case does not matter."
        ),
    )
    ordering = serializers.ChoiceField(
        list(PRODUCT_ORDERINGS),
        required=False,
        allow_blank=True,
        help_text="Default id. An order by confidence leaves out products that have no confidence.",
    )

    def validate_min_confidence(self, value: float) -> float:
        """Refuse "nan", which is neither below 0 nor above 1."""
        if math.isnan(value):
            raise serializers.ValidationError("Expected a number from 0 to 1; received nan.")
        return value

    def validate_search(self, value: str) -> str:
        """Refuse a search whose query would be long to plan and slow to run."""
        words = len(value.split())
        if words > MAXIMUM_SEARCH_WORDS:
            raise serializers.ValidationError(f"Expected at most {MAXIMUM_SEARCH_WORDS} words; received {words}.")
        return value

    def get_criteria(self, **defaults: Any) -> ProductCriteria:
        """Return the criteria of a valid query; `defaults` hold where the query says nothing."""
        given = {
            name: value for name, value in self.validated_data.items() if name not in PageQuery().fields and value != ""
        }
        return ProductCriteria(**(defaults | given))


def pick_parameters(
    query_class: type[serializers.Serializer[dict[str, Any]]], parameters: QueryDict
) -> tuple[QueryDict, dict[str, str]]:
    """Return those of a page's parameters that the query knows and that have a value, and the filters among them.

    A page is reached by links that others made; what they added to the address is no reason to refuse it. What a form
    leaves empty is not asked for.
    """
    known = query_class().fields
    picked = QueryDict(mutable=True)
    picked.update({name: str(value) for name, value in parameters.items() if name in known and value})
    pages = PageQuery().fields
    return picked, {name: str(value) for name, value in picked.items() if name not in pages}


Query = TypeVar("Query", bound=serializers.Serializer[dict[str, Any]])


def check_parameters(query_class: type[Query], parameters: QueryDict) -> Query:
    """Return the query made of these parameters, valid.

    Raises `ValidationError` for a parameter that is unknown, or whose value is not accepted.
    """
    known = query_class().fields
    unknown = [name for name in parameters if name not in known]
    if unknown:
        message = f"Unknown parameter; expected one of {', '.join(known)}." if known else "Expected no parameters."
        raise serializers.ValidationError({name: [message] for name in unknown})
    query = query_class(data=parameters)
    query.is_valid(raise_exception=True)
    return query


class CheckedView(APIView):
    """A view of the API that refuses parameters which it does not know, whatever the method.

    What is ignored would be taken for honoured: a filter with a typing error, a token in the address.
    """

    query_class: type[serializers.Serializer[dict[str, Any]]] = NoQuery

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let a caller in as every view does, then read the parameters into `self.query`, valid."""
        super().initial(request, *args, **kwargs)
        if request.method in self.allowed_methods:
            self.query: Any = check_parameters(self.query_class, request.query_params)

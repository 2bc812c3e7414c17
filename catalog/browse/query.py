"""Query parameters, one place for the API and the pages."""

import math
from typing import Any

from rest_framework import serializers

from catalog.browse.listing import PRODUCT_ORDERINGS, ProductCriteria
from catalog.models import ProductLabel
from catalog.values import RecordError, clean_country
from classifier.ml.labels import GARMENTS, GROUPS
from config.web.queries import PageQuery

MAXIMUM_SEARCH_WORDS = 8
COUNTRY_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,15}\Z"


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

"""The JSON of products."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from catalog.labels import LabelSummary, get_label_summary
from catalog.models import Product, ProductLabel
from catalog.pictures.storage import get_thumbnail_path
from classifier.ml.labels import GARMENTS, GROUPS


class LabelSerializer(serializers.Serializer[Any]):
    """A product's current label; never missing, its fields are null where nothing is known."""

    group = serializers.ChoiceField(GROUPS, allow_null=True)
    garment = serializers.ChoiceField(GARMENTS, allow_null=True)
    garment_unsure = serializers.BooleanField(help_text="The group stands, but the garment within it is not sure.")
    confidence = serializers.FloatField(allow_null=True, min_value=0.0, max_value=1.0)
    status = serializers.ChoiceField(ProductLabel.Status.choices)
    source = serializers.ChoiceField(  # type: ignore[assignment]  # shadows Field.source
        ProductLabel.Source.choices, allow_null=True, help_text="Who gave the label."
    )
    reason = serializers.CharField(
        help_text="Why there is no sure label: `unsure`, `disagreement`, `placeholder`, or an error's code; else empty."
    )
    evidence = serializers.ChoiceField(
        ProductLabel.Evidence.choices,
        allow_blank=True,
        help_text="On what a machine's label stands; empty of a person's.",
    )
    model_version = serializers.CharField(allow_null=True, help_text="The name of the version that labelled it.")
    labelled_at = serializers.DateTimeField(allow_null=True)


# One for every row: a serializer copies its fields when it is made, which took half of the time of a list.
_LABEL_SERIALIZER = LabelSerializer()


class ProductSerializer(serializers.ModelSerializer[Any]):
    """A product in a list."""

    image_url = serializers.CharField(allow_null=True, help_text="The stored URL of the image with index 0.")
    thumbnail_url = serializers.SerializerMethodField(help_text="Our own re-encoded copy of that image.")
    description = serializers.CharField(allow_null=True, help_text="The translated text, else the original.")
    label = serializers.SerializerMethodField()  # type: ignore[assignment]  # shadows Field.label

    class Meta:
        model = Product
        fields = ["id", "title", "image_url", "thumbnail_url", "description", "label"]

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_thumbnail_url(self, product: Product) -> str | None:
        """Return the absolute address of our copy, or None."""
        return build_thumbnail_url(product.thumbnail_sha256, context=self.context)

    @extend_schema_field(LabelSerializer)
    def get_label(self, product: Product) -> dict[str, Any]:
        """Return the JSON of the label, or of that of another time, where the view found `labels`; no query."""
        former: Mapping[int, LabelSummary] = self.context.get("labels", {})
        return _LABEL_SERIALIZER.to_representation(former.get(product.pk) or get_label_summary(product))


def build_thumbnail_url(sha256: str | None, *, context: Mapping[str, Any]) -> str | None:
    """Return the absolute address of the thumbnail of the picture with this hash, or None without one."""
    request: Request = context["request"]
    return request.build_absolute_uri(get_thumbnail_path(sha256)) if sha256 else None

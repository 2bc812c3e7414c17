"""The JSON of products."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request

from catalog.links import get_thumbnail_path
from catalog.models import Product, ProductDescription, StoredPicture
from classifier.listing import ProductDetail, ProductImageDetail, get_label_summary
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.models import ProductLabel


class LabelSerializer(serializers.Serializer[Any]):
    """A product's current label; never missing, its fields are null where nothing is known."""

    group = serializers.ChoiceField(GROUPS, allow_null=True)
    garment = serializers.ChoiceField(GARMENTS, allow_null=True)
    confidence = serializers.FloatField(allow_null=True, min_value=0.0, max_value=1.0)
    status = serializers.ChoiceField(ProductLabel.Status.choices)
    model_version = serializers.CharField(allow_null=True, help_text="The name of the version that labelled it.")
    labelled_at = serializers.DateTimeField(allow_null=True)


# One for every row: a serializer copies its fields when it is made, which took half of the time of a list.
_LABEL_SERIALIZER = LabelSerializer()


class ImageLabelSerializer(LabelSerializer):
    """What is known of one image; the probabilities are the machine's even when a person's label stands."""

    source = serializers.ChoiceField(  # type: ignore[assignment]  # shadows Field.source
        ProductLabel.Source.choices, allow_null=True
    )
    abstained = serializers.BooleanField(allow_null=True)
    group_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    garment_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    error_code = serializers.CharField(allow_null=True, help_text="Why the last try failed, as in the error queue.")


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
        """Return the label's JSON; no query."""
        return _LABEL_SERIALIZER.to_representation(get_label_summary(product))


class ProductImageSerializer(serializers.Serializer[Any]):
    """An image at its place within a product."""

    id = serializers.IntegerField()
    url = serializers.CharField()
    image_index = serializers.IntegerField()
    thumbnail_url = serializers.SerializerMethodField()
    label = ImageLabelSerializer()  # type: ignore[assignment]  # shadows Field.label

    @extend_schema_field(serializers.URLField(allow_null=True))
    def get_thumbnail_url(self, image: ProductImageDetail) -> str | None:
        """Return the absolute address of our copy, or None."""
        picture: StoredPicture | None = image.picture
        return build_thumbnail_url(picture.sha256 if picture else None, context=self.context)


class ProductDescriptionSerializer(serializers.ModelSerializer[ProductDescription]):
    """A product's text in one country."""

    class Meta:
        model = ProductDescription
        fields = ["country_code", "original_text", "translated_text"]


class ProductDetailSerializer(ProductSerializer):
    """A product in full; made from a `ProductDetail`."""

    images = ProductImageSerializer(many=True)
    descriptions = ProductDescriptionSerializer(many=True)

    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "images", "descriptions"]

    def to_representation(self, detail: ProductDetail) -> dict[str, Any]:
        """Return the product's own fields, then its images and descriptions."""
        return {
            **ProductSerializer(detail.product, context=self.context).data,
            "images": ProductImageSerializer(detail.images, many=True, context=self.context).data,
            "descriptions": ProductDescriptionSerializer(detail.descriptions, many=True).data,
        }


def build_thumbnail_url(sha256: str | None, *, context: Mapping[str, Any]) -> str | None:
    """Return the absolute address of the thumbnail of the picture with this hash, or None without one."""
    request: Request = context["request"]
    return request.build_absolute_uri(get_thumbnail_path(sha256)) if sha256 else None

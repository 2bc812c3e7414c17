"""The JSON of one product in full, of its pictures, and of what was said of them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.browse.serializers import LabelSerializer, ProductSerializer, build_thumbnail_url
from catalog.models import ProductDescription, StoredPicture
from classifier.labels.reads import ProductDetail, ProductImageDetail, get_probabilities
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.models import Classification


class ImageLabelSerializer(LabelSerializer):
    """What is known of one image; the probabilities are the machine's even when a person's label stands."""

    abstained = serializers.BooleanField(allow_null=True)
    group_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    garment_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    error_code = serializers.CharField(allow_null=True, help_text="Why the last try failed, as in the error queue.")


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


class ClassificationSerializer(serializers.ModelSerializer[Classification]):
    """What one model version said of one picture in one run."""

    model_version = serializers.CharField(source="model_version.name")
    group_probabilities = serializers.SerializerMethodField()
    garment_probabilities = serializers.SerializerMethodField()

    class Meta:
        model = Classification
        fields = [
            "id",
            "run",
            "model_version",
            "sha256",
            "group",
            "garment",
            "confidence",
            "abstained",
            "garment_unsure",
            "group_probabilities",
            "garment_probabilities",
            "none_probability",
            "created_at",
        ]

    def get_group_probabilities(self, classification: Classification) -> dict[str, float]:
        """Return the probability of each group."""
        return get_probabilities(classification)[1]

    def get_garment_probabilities(self, classification: Classification) -> dict[str, float]:
        """Return the probability of each garment."""
        return get_probabilities(classification)[0]


class PictureSerializer(serializers.Serializer[Any]):
    """A picture to classify, as the part of a form."""

    picture = serializers.FileField(
        allow_empty_file=True, max_length=255, help_text="JPEG, PNG, WebP or GIF, 16 pixels to 40 megapixels."
    )


class PictureAnswerSerializer(serializers.Serializer[Any]):
    """What was said of a picture; with an `error` everything but `path` is null."""

    path = serializers.CharField(help_text="The file's name.")
    group = serializers.ChoiceField(GROUPS, allow_null=True)
    garment = serializers.ChoiceField(GARMENTS, allow_null=True)
    confidence = serializers.FloatField(allow_null=True, min_value=0.0, max_value=1.0)
    abstained = serializers.BooleanField(allow_null=True)
    garment_unsure = serializers.BooleanField(allow_null=True)
    group_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    garment_probabilities = serializers.DictField(child=serializers.FloatField(), allow_null=True)
    error = serializers.CharField(allow_null=True, help_text="A code, as in the error queue.")

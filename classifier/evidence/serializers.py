"""The JSON of one product in full, of its pictures, and of what was said of them."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.browse.serializers import LabelSerializer, ProductSerializer, build_thumbnail_url
from catalog.models import ProductDescription, StoredPicture
from classifier.labels.reads import ProductDetail, ProductImageDetail, get_probabilities
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.text.lexicon import LANGUAGES, NONE_OF_THESE
from classifier.ml.text.reading import TITLE, Verdict, Word
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


class WordSerializer(serializers.Serializer[Any]):
    """A word of a product's texts that counted, as it is written."""

    word = serializers.CharField()
    language = serializers.ChoiceField(LANGUAGES, help_text="The language it was read in.")
    field = serializers.SerializerMethodField(help_text="Where it stands.")
    country = serializers.SerializerMethodField(help_text="That of its description; null in the title.")
    says = serializers.SerializerMethodField(help_text="What it is the name of.")

    @extend_schema_field(serializers.ChoiceField([TITLE, "original_text", "translated_text"]))
    def get_field(self, word: Word) -> str:
        """Return the name of the field."""
        return word.field.partition(" ")[0]

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_country(self, word: Word) -> str | None:
        """Return the country, or None."""
        return word.field.partition(" ")[2] or None

    @extend_schema_field(serializers.ChoiceField([*GROUPS, Verdict.NONE_OF_THESE, Verdict.AMBIGUOUS]))
    def get_says(self, word: Word) -> str:
        """Return a group, or that it names none of them, or more than one."""
        return Verdict.NONE_OF_THESE if word.says == NONE_OF_THESE else word.says


class ProductDetailSerializer(ProductSerializer):
    """A product in full; made from a `ProductDetail`."""

    images = ProductImageSerializer(many=True)
    descriptions = ProductDescriptionSerializer(many=True)
    words = WordSerializer(many=True)

    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "images", "descriptions", "words"]

    def to_representation(self, detail: ProductDetail) -> dict[str, Any]:
        """Return the product's own fields, then its images, descriptions and the words that counted."""
        return {
            **ProductSerializer(detail.product, context=self.context).data,
            "images": ProductImageSerializer(detail.images, many=True, context=self.context).data,
            "descriptions": ProductDescriptionSerializer(detail.descriptions, many=True).data,
            "words": WordSerializer(detail.texts.reading.words, many=True).data,
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

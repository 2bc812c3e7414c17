"""The JSON of one product in full, of its pictures, of what was said of them, and of the history of labels."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from catalog.browse.serializers import LabelSerializer, ProductSerializer, build_thumbnail_url
from catalog.models import ProductDescription, ProductLabel, StoredPicture
from classifier.labels.history import Provenance, summarise_change, to_hex
from classifier.labels.reads import ProductDetail, ProductImageDetail, get_probabilities
from classifier.ml.labels import GARMENTS, GROUPS
from classifier.ml.text.lexicon import LANGUAGES, NONE_OF_THESE
from classifier.ml.text.reading import TITLE, Verdict, Word
from classifier.models import Classification, LabelChange


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


class TextsSerializer(serializers.Serializer[Provenance]):
    """The texts that a label follows from."""

    sha256 = serializers.CharField(source="texts_sha256", help_text="Of the title and all descriptions as they were.")
    words = WordSerializer(many=True)


class ProvenanceSerializer(serializers.Serializer[Provenance]):
    """What a label was made of; null where it has no part in it, or where it was not written down at that time."""

    changed_at = serializers.DateTimeField(allow_null=True, help_text="When the label became what it says.")
    why = serializers.ChoiceField(LabelChange.Why.choices, allow_null=True)
    sha256 = serializers.CharField(allow_null=True, help_text="Of the picture's bytes.")
    model_version = serializers.CharField(allow_null=True)
    evidence = serializers.ChoiceField(ProductLabel.Evidence.choices, allow_blank=True)
    thresholds = serializers.DictField(
        child=serializers.FloatField(),
        allow_null=True,
        help_text="The confidence from which on a label of each group was kept; of a machine's label.",
    )
    run = serializers.IntegerField(source="run_id", allow_null=True, help_text="The labelling run.")
    review = serializers.IntegerField(source="review_id", allow_null=True, help_text="The person's label.")
    texts = serializers.SerializerMethodField(help_text="Where texts counted.")

    @extend_schema_field(TextsSerializer(allow_null=True))
    def get_texts(self, provenance: Provenance) -> dict[str, Any] | None:
        """Return the texts' hash and the words that counted, or None."""
        return dict(TextsSerializer(provenance).data) if provenance.texts_sha256 else None


class ProductDetailSerializer(ProductSerializer):
    """A product in full; made from a `ProductDetail` and the `provenance` of its label."""

    images = ProductImageSerializer(many=True)
    descriptions = ProductDescriptionSerializer(many=True)
    words = WordSerializer(many=True)
    provenance = ProvenanceSerializer()

    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "images", "descriptions", "words", "provenance"]

    def to_representation(self, detail: ProductDetail) -> dict[str, Any]:
        """Return the product's own fields, then its images, descriptions, the words that counted, and whence the label.

        Label and provenance are those that the view found.
        """
        return {
            **ProductSerializer(detail.product, context=self.context).data,
            "images": ProductImageSerializer(detail.images, many=True, context=self.context).data,
            "descriptions": ProductDescriptionSerializer(detail.descriptions, many=True).data,
            "words": WordSerializer(detail.texts.reading.words, many=True).data,
            "provenance": ProvenanceSerializer(self.context["provenance"]).data,
        }


class ChangedLabelSerializer(LabelSerializer):
    """A label before or behind a change."""

    labelled_at = None  # type: ignore[assignment]  # the change has its own time


class LabelChangeSerializer(serializers.Serializer[LabelChange]):
    """A change of a label; `names` in the context are those of model versions."""

    id = serializers.IntegerField(help_text="The place in the history, for `after`.")
    product = serializers.IntegerField(source="product_id")
    to = serializers.SerializerMethodField(help_text="The label behind it; null where the product was deleted.")
    why = serializers.ChoiceField(LabelChange.Why.choices)
    version = serializers.CharField(
        source="version_name", allow_blank=True, help_text="The new label's model version; empty without one."
    )
    review = serializers.IntegerField(source="review_id", allow_null=True, help_text="The person's label.")
    run = serializers.IntegerField(source="run_id", allow_null=True, help_text="The labelling run.")
    sha256 = serializers.SerializerMethodField(help_text="Of the picture that the new label is about.")
    texts_sha256 = serializers.SerializerMethodField(help_text="Of the texts, where they counted.")
    when = serializers.DateTimeField(source="at")

    def get_fields(self) -> dict[str, Any]:
        """Return the fields, `from` among them, which is no name in Python."""
        before = serializers.SerializerMethodField(method_name="get_before", help_text="The label before it.")
        own = super().get_fields()
        return {"id": own.pop("id"), "product": own.pop("product"), "from": before, **own}

    @extend_schema_field(ChangedLabelSerializer)
    def get_before(self, change: LabelChange) -> dict[str, Any]:
        """Return the label before the change."""
        return self._show(change, side="old")

    @extend_schema_field(ChangedLabelSerializer(allow_null=True))
    def get_to(self, change: LabelChange) -> dict[str, Any] | None:
        """Return the label behind the change, or None."""
        return self._show(change, side="new") if change.new_status else None

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_sha256(self, change: LabelChange) -> str | None:
        """Return the picture's hash in hexadecimal digits."""
        return to_hex(change.sha256)

    @extend_schema_field(serializers.CharField(allow_null=True))
    def get_texts_sha256(self, change: LabelChange) -> str | None:
        """Return the texts' hash in hexadecimal digits."""
        return to_hex(change.texts_sha256)

    def _show(self, change: LabelChange, *, side: str) -> dict[str, Any]:
        return _CHANGED_LABEL.to_representation(summarise_change(change, side=side, names=self.context["names"]))


# One for every row, as in lists of products.
_CHANGED_LABEL = ChangedLabelSerializer()


class LabelChangesSerializer(serializers.Serializer[Any]):
    """Some changes, the oldest first, and where to go on."""

    next = serializers.URLField(allow_null=True, help_text="What follows; null where nothing does yet.")
    after = serializers.IntegerField(help_text="The place of the last change; ask again with it later.")
    results = LabelChangeSerializer(many=True)


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

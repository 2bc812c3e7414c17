"""The catalogue's tables, on the schema's own table and column names, and the pictures we hold ourselves."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce, Lower, Now, NullIf, Trim

from catalog.values import RecordError, clean_country, clean_image_url, clean_text, clean_title, find_country
from classifier.ml.labels import GARMENTS, GROUPS
from config.db.naming import name_related
from config.web.forms import PlainTextField

if TYPE_CHECKING:
    _Mixed = models.Field[Any, Any]
else:
    _Mixed = object


class _RuledMixin(_Mixed):
    """A column whose values follow a rule of `catalog.values` wherever one is judged; its type is that of any other."""

    def __init__(self, *args: Any, rule: Callable[[Any], Any] | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rule = rule

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        """Return the value as the rule has it stored. Raises `ValidationError`."""
        try:
            return super().clean(self.rule(value) if self.rule else value, model_instance)
        except RecordError as error:
            raise ValidationError(error.sentence) from error

    def formfield(self, **options: Any) -> Any:
        """Return a field of a form that leaves alone what nobody changed."""
        empty = {"empty_value": None} if self.null else {}
        return super().formfield(**{"form_class": PlainTextField, **empty, **options})


class RuledTextField(_RuledMixin, models.TextField):
    """A text of any length that follows a rule."""

    def deconstruct(self) -> Any:
        """Return what a migration has of it, which is the column."""
        return self.name, "django.db.models.TextField", *super().deconstruct()[2:]


class RuledCharField(_RuledMixin, models.CharField):
    """A bounded text that follows a rule."""

    def deconstruct(self) -> Any:
        """Return what a migration has of it, which is the column."""
        return self.name, "django.db.models.CharField", *super().deconstruct()[2:]


class ProductQuerySet(models.QuerySet):
    """Reads of products."""

    def with_listing_fields(self, country: str = "us") -> "ProductQuerySet":
        """Annotate `image_url` (the picture at index 0) and `description` (the text for `country`).

        One row for every product whatever is missing or doubled, None where there is nothing. The description is the
        translated text unless it is missing or only spaces, else the original; countries compare without case, as the
        code and as it is spelled here, and the lowest id wins where a country is doubled.
        """
        spellings = {country.lower(), find_country(country) or country.lower()}
        image_url = (
            ProductImages.objects.filter(product=OuterRef("pk"), image_index=0).order_by("pk").values("image__url")[:1]
        )
        translation = NullIf(Trim("translated_text"), Value("", output_field=models.TextField()))
        description = (
            ProductDescription.objects.alias(lower_country=Lower("country_code"))
            .filter(product=OuterRef("pk"), lower_country__in=sorted(spellings))
            .order_by("pk")
            .values(text=Coalesce(translation, "original_text"))[:1]
        )
        return self.annotate(image_url=Subquery(image_url), description=Subquery(description))


class Product(models.Model):
    """A product as a retailer offers it."""

    title = RuledTextField(rule=clean_title)

    # What lists annotate (`ProductQuerySet.with_listing_fields`, `catalog.browse.listing`); unset on other products.
    image_url: str | None
    description: str | None
    thumbnail_sha256: str | None

    objects = ProductQuerySet.as_manager()

    class Meta:
        db_table = "product"

    def __str__(self) -> str:
        return self.title


class Image(models.Model):
    """A picture, named by its URL; a name without a scheme lies in the media storage. Products share images."""

    # The rule takes 2,048 bytes: PostgreSQL's unique index cannot hold more than about 2,700.
    url = RuledCharField(max_length=2048, unique=True, rule=clean_image_url)

    class Meta:
        db_table = "image"

    def __str__(self) -> str:
        return self.url

    @property
    def picture(self) -> "StoredPicture | None":
        """The picture that we hold of the image's present address, or None; no query after `select_related`."""
        stored: StoredPicture | None = getattr(self, "stored_picture", None)
        return stored if stored is not None and stored.url == self.url else None


class ProductImages(models.Model):
    """The place of an image within a product; index 0 is the most relevant picture."""

    product = models.ForeignKey(
        Product, on_delete=models.CASCADE, db_column="productid", related_name="product_images", db_index=False
    )
    image = models.ForeignKey(Image, on_delete=models.CASCADE, db_column="imageid", related_name="product_images")
    image_index = models.PositiveIntegerField(db_column="imageindex")

    class Meta:
        db_table = "productimages"
        ordering = ["product_id", "image_index"]
        verbose_name = "product image"
        constraints = [
            models.UniqueConstraint(fields=["product", "image_index"], name="productimages_product_index_unique"),
        ]

    def __str__(self) -> str:
        return f"{name_related(self, 'image')} at index {self.image_index} of {name_related(self, 'product')}"


class ProductDescription(models.Model):
    """A product's text in one country: as the retailer wrote it, and translated.

    A legacy table may hold a country twice, so there is no unique constraint; the lowest id wins.
    """

    product = models.ForeignKey(
        Product, on_delete=models.CASCADE, db_column="productid", related_name="descriptions", db_index=False
    )
    country_code = RuledCharField(max_length=16, db_column="countrycode", rule=clean_country)
    original_text = RuledTextField(
        null=True, blank=True, db_column="originaltext", rule=partial(clean_text, field="original_text")
    )
    translated_text = RuledTextField(
        null=True, blank=True, db_column="translatedtext", rule=partial(clean_text, field="translated_text")
    )

    class Meta:
        db_table = "productdescription"
        ordering = ["product_id", "id"]
        indexes = [
            models.Index("product", Lower("country_code"), "id", name="productdescription_country"),
        ]

    def __str__(self) -> str:
        return f"{self.country_code} text of {name_related(self, 'product')}"


class UnshownImage(models.Model):
    """An image that no product showed when somebody looked; the row goes when one shows it again."""

    image = models.OneToOneField(Image, on_delete=models.CASCADE, primary_key=True, related_name="unshown")
    since = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"image {self.image_id}, which no product shows"


class StoredPicture(models.Model):
    """A picture's bytes as we hold them: one file for each content hash, whatever number of URLs gave it.

    What a person says of a picture holds for its *appearance*: the SHA-256 of the first bytes of that look. Bytes that
    a host made anew (another size, another compression) keep it; see `catalog.pictures.appearance`.
    """

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="stored_picture")
    url = models.CharField(max_length=2048, default="", db_default="", help_text="The address the bytes were got at.")
    sha256 = models.CharField(max_length=64, db_index=True)
    former_appearance = models.CharField(
        max_length=64, blank=True, default="", db_default="", help_text="Empty: the bytes are the first of their look."
    )
    # Of the first bytes of the look; empty for rows that are older than these columns, until their bytes change.
    look_hash = models.BigIntegerField(null=True, blank=True)
    look_shape = models.FloatField(null=True, blank=True, help_text="Width by height.")
    # As long as an image's address, which it is for a picture that came into the media storage from elsewhere.
    storage_name = models.CharField(max_length=2048)
    etag = models.CharField(max_length=255, blank=True, default="")
    last_modified = models.CharField(max_length=64, blank=True, default="")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    fetched_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["former_appearance"], condition=~Q(former_appearance=""), name="storedpicture_appearance"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.width}x{self.height} picture of image {self.image_id}"

    @property
    def appearance(self) -> str:
        """The SHA-256, in hexadecimal digits, of the first bytes of the picture's look."""
        return self.former_appearance or self.sha256


GROUP_CHOICES = [(group, group) for group in GROUPS]
GARMENT_CHOICES = [(garment, garment) for garment in GARMENTS]
CONFIDENCE_VALIDATORS = [MinValueValidator(0.0), MaxValueValidator(1.0)]


class ProductLabel(models.Model):
    """The current label of a product, one row for each; `catalog.labels` says what a missing row means.

    Whoever decides labels writes it; while nobody does, `catalog.labels` writes *pending* or *no image*. `reason` says
    why there is no sure label: a `Reason`, or an error's code. `evidence` says on what a machine's label stands where
    that is not the picture alone.
    """

    class Status(models.TextChoices):
        """What became of a product; its words are those of every page, filter and list."""

        LABELLED = "labelled"
        NEEDS_REVIEW = "needs_review", "Needs review"
        REVIEWED = "reviewed"
        NONE_OF_THESE = "none_of_these", "None of these"
        UNUSABLE = "unusable"
        FAILED = "failed"
        PENDING = "pending"
        NO_IMAGE = "no_image", "No image"

    class Source(models.TextChoices):
        MACHINE = "machine"
        PERSON = "person"

    class Reason(models.TextChoices):
        """Why a label waits for a person."""

        UNSURE = "unsure", "Not sure"
        DISAGREEMENT = "disagreement", "Title contradicts the picture"
        PLACEHOLDER = "placeholder"

    class Evidence(models.TextChoices):
        """On what a machine's label stands; the picture alone is stored as nothing."""

        PICTURE = "picture"
        TEXT = "text"
        BOTH = "both"

    product = models.OneToOneField(Product, on_delete=models.CASCADE, primary_key=True, related_name="label")
    image = models.ForeignKey(Image, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    group = models.CharField(max_length=32, choices=GROUP_CHOICES, blank=True, default="")
    garment = models.CharField(max_length=32, choices=GARMENT_CHOICES, blank=True, default="")
    garment_unsure = models.BooleanField(
        default=False, db_default=False, help_text="The group stands, but the garment within it is not sure."
    )
    confidence = models.FloatField(null=True, blank=True, validators=CONFIDENCE_VALIDATORS)
    status = models.CharField(max_length=16, choices=Status)
    source = models.CharField(max_length=16, choices=Source, blank=True, default="")
    reason = models.CharField(max_length=32, blank=True, default="", db_default="")
    evidence = models.CharField(max_length=8, choices=Evidence, blank=True, default="", db_default="")
    model_version = models.ForeignKey(
        "classifier.ModelVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    classification = models.ForeignKey("classifier.Classification", on_delete=models.SET_NULL, null=True, blank=True)
    review = models.ForeignKey("classifier.Review", on_delete=models.SET_NULL, null=True, blank=True)
    labelled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "classifier_productlabel"
        indexes = [
            # One for each filter and order of a list, so that a page starts inside it; what stands behind the order
            # lets the other filters be looked at without the row, however few of the rows pass them.
            models.Index(fields=["group", "product", "status", "confidence"], name="productlabel_group_product"),
            models.Index(fields=["group", "confidence", "product", "status"], name="productlabel_group_conf"),
            models.Index(fields=["garment", "product", "status", "confidence"], name="productlabel_garment_product"),
            models.Index(fields=["garment", "confidence", "product", "status"], name="productlabel_garment_conf"),
            models.Index(fields=["status", "product", "confidence"], name="productlabel_status_product"),
            models.Index(fields=["status", "confidence", "product"], name="productlabel_status_conf"),
            models.Index(fields=["confidence", "product"], name="productlabel_confidence"),
            models.Index(fields=["source", "product"], condition=~Q(source=""), name="productlabel_source_product"),
            models.Index(fields=["product"], condition=Q(garment_unsure=True), name="productlabel_garment_unsure"),
            models.Index(fields=["reason", "product"], condition=~Q(reason=""), name="productlabel_reason_product"),
            models.Index(
                fields=["evidence", "product"], condition=Q(source="machine"), name="productlabel_evidence_product"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.group or self.get_status_display()} for {name_related(self, 'product')}"


class LabelTally(models.Model):
    """By how many products of a status, group and day a statement made the labels more, or fewer; PostgreSQL only.

    The sum of a kind's rows is how many products have it. Triggers of the labels' table write them, in the transaction
    that writes the labels: nobody waits for anybody's row. `catalog.labels` reads them, and makes one of many.
    """

    status = models.CharField(max_length=16)
    group = models.CharField(max_length=32, blank=True)
    day = models.DateField(null=True, help_text="Of the label, in UTC; empty where there is none.")
    number = models.BigIntegerField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.number:+,} {self.status} {self.group} of {self.day}"

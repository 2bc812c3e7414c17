"""The catalogue's tables, on the schema's own table and column names, and the pictures we hold ourselves."""

from django.db import models
from django.db.models.functions import Lower

from catalog.querysets import ProductQuerySet


class Product(models.Model):
    """A product as a retailer offers it."""

    title = models.TextField()

    # What lists annotate (`ProductQuerySet.with_listing_fields`, `classifier.listing`); unset on other products.
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

    # 2,048 bytes is what the importer accepts: PostgreSQL's unique index cannot hold more than about 2,700.
    url = models.CharField(max_length=2048, unique=True)

    class Meta:
        db_table = "image"

    def __str__(self) -> str:
        return self.url


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
        return f"image {self.image_id} at index {self.image_index} of product {self.product_id}"


class ProductDescription(models.Model):
    """A product's text in one country: as the retailer wrote it, and translated.

    A legacy table may hold a country twice, so there is no unique constraint; the lowest id wins.
    """

    product = models.ForeignKey(
        Product, on_delete=models.CASCADE, db_column="productid", related_name="descriptions", db_index=False
    )
    country_code = models.CharField(max_length=16, db_column="countrycode")
    original_text = models.TextField(null=True, blank=True, db_column="originaltext")
    translated_text = models.TextField(null=True, blank=True, db_column="translatedtext")

    class Meta:
        db_table = "productdescription"
        ordering = ["product_id", "id"]
        indexes = [
            models.Index("product", Lower("country_code"), "id", name="productdescription_country"),
        ]

    def __str__(self) -> str:
        return f"{self.country_code} text of product {self.product_id}"


class StoredPicture(models.Model):
    """A picture's bytes as we hold them: one file for each content hash, whatever number of URLs gave it."""

    image = models.OneToOneField(Image, on_delete=models.CASCADE, related_name="stored_picture")
    sha256 = models.CharField(max_length=64, db_index=True)
    storage_name = models.CharField(max_length=255)
    etag = models.CharField(max_length=255, blank=True, default="")
    last_modified = models.CharField(max_length=64, blank=True, default="")
    width = models.PositiveIntegerField()
    height = models.PositiveIntegerField()
    fetched_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.width}x{self.height} picture of image {self.image_id}"

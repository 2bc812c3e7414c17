"""The catalogue's vocabulary of reads."""

from django.db import models
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce, Lower, NullIf, Trim


class ProductQuerySet(models.QuerySet):
    """Reads of products."""

    def with_listing_fields(self, country: str = "us") -> "ProductQuerySet":
        """Annotate `image_url` (the picture at index 0) and `description` (the text for `country`).

        One row for every product whatever is missing or doubled, None where there is nothing. The description is the
        translated text unless it is missing or only spaces, else the original; countries compare without case, and the
        lowest id wins where a country is doubled.
        """
        # The models carry this queryset, so they cannot be there yet when this module is imported.
        from catalog.models import ProductDescription, ProductImages

        image_url = (
            ProductImages.objects.filter(product=OuterRef("pk"), image_index=0).order_by("pk").values("image__url")[:1]
        )
        translation = NullIf(Trim("translated_text"), Value("", output_field=models.TextField()))
        description = (
            ProductDescription.objects.alias(lower_country=Lower("country_code"))
            .filter(product=OuterRef("pk"), lower_country=country.lower())
            .order_by("pk")
            .values(text=Coalesce(translation, "original_text"))[:1]
        )
        return self.annotate(image_url=Subquery(image_url), description=Subquery(description))

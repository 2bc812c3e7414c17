"""What the forms of one product ask of all its images, or of all its texts, together."""

from typing import Any

from django.core.exceptions import ValidationError
from django.forms import BaseInlineFormSet

from catalog.models import Image, ProductImages
from catalog.values import MAX_IMAGES, find_country
from config.db.bulk import insert_missing_rows


class _ProductFormSet(BaseInlineFormSet):
    """Rows of one product."""

    @property
    def staying(self) -> list[Any]:
        """The forms of rows that the product has once they are saved."""
        return [
            form
            for form in self.initial_forms + self.extra_forms
            if form.has_changed() or form.instance.pk
            if form not in self.deleted_forms
        ]


class PlaceFormSet(_ProductFormSet):
    """The images of a product. Once one of them is changed, their indexes are 0, 1, 2, ... in the order typed."""

    def clean(self) -> None:
        """Refuse more images than an import does."""
        super().clean()
        if self.has_changed() and len(self.staying) > MAX_IMAGES:
            raise ValidationError(f"Expected at most {MAX_IMAGES:,} images; received {len(self.staying):,}.")

    def save(self, commit: bool = True) -> Any:
        """Save the images and return those that were changed or added."""
        if not self.has_changed():
            return super().save(commit)
        places = [form.instance for form in self.staying]
        # One that no product shows may be removed at any moment: from here on none of these is, and what went is back.
        image_ids = insert_missing_rows(Image, field="url", values=[place.image.url for place in places])
        for number, place in enumerate(sorted(places, key=lambda place: place.image_index)):
            place.image_index, place.image_id = number, image_ids[place.image.url]
        # No row may take an index, not even for a moment, that another has not left yet.
        ProductImages.objects.filter(pk__in=[form.instance.pk for form in self.initial_forms]).delete()
        saved = super().save(commit)
        ProductImages.objects.bulk_create(form.instance for form in self.staying if not form.has_changed())
        return saved


class DescriptionFormSet(_ProductFormSet):
    """The texts of a product, one for each country."""

    def clean(self) -> None:
        """Refuse a country twice, unless the product had it twice before."""
        super().clean()
        seen: dict[str, bool] = {}
        for form in self.staying:
            code = form.instance.country_code
            country = find_country(code) or code.lower()
            if country in seen and (form.has_changed() or seen[country]):
                raise ValidationError(f"Expected every country once in a product; received {country} twice.")
            seen[country] = form.has_changed()

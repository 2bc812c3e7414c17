"""The page that replaces an image's address: every product that shows the image gets the image of the new address.

An address never changes on its row: what was said of a picture was said of what its address gave.
"""

from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from catalog.labels import refresh_labels
from catalog.models import Image, ProductImages
from catalog.values import RecordError, clean_image_url
from config.db.bulk import insert_missing_rows
from config.db.statements import allow_long_statements
from config.web.admin import LargeTableAdmin


class AddressForm(forms.Form):
    """Another address of an image."""

    url = forms.CharField(label="New address", widget=forms.TextInput(attrs={"size": 80}))

    def clean_url(self) -> str:
        """Refuse what an import refuses."""
        try:
            return clean_image_url(self.cleaned_data["url"])
        except RecordError as error:
            raise forms.ValidationError(error.sentence) from error


def answer_address_page(model_admin: LargeTableAdmin, request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for another address and, by POST, replace it wherever the image is shown."""
    image = get_object_or_404(Image, pk=pk)
    if not model_admin.has_change_permission(request, image):
        raise PermissionDenied
    form = AddressForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        replacement, number = replace_image(image, url=form.cleaned_data["url"])
        model_admin.log_change(request, image, f"Replaced by image {replacement.pk} in {number} products.")
        model_admin.message_user(request, f"Products that show the image of the new address now: {number:,}.")
        return redirect("admin:catalog_image_change", replacement.pk)
    showing = model_admin.count_in_words(image.product_images.values("product").distinct())
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": "Replace the address",
        "opts": model_admin.opts,
        "original": image,
        "form": form,
        "consequence": f"Products that show this image: {showing}. "
        "They will show the image of the new address, with the label of that one.",
    }
    return TemplateResponse(
        request, "admin/catalog/replace_address.html", context, status=400 if request.method == "POST" else 200
    )


@allow_long_statements()
def replace_image(image: Image, *, url: str) -> tuple[Image, int]:
    """Give every product that shows the image the image of this address, which is created if it is missing.

    Return that image and how many products it was; the former one stays, with what was said of it.
    """
    with transaction.atomic():
        replacement = Image.objects.get(pk=insert_missing_rows(Image, field="url", values=[url])[url])
        places = ProductImages.objects.filter(image=image)
        product_ids = sorted(set(places.values_list("product_id", flat=True)))
        places.update(image=replacement)
        refresh_labels(product_ids)
    return replacement, len(product_ids)

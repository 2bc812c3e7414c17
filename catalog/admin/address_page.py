"""The page that replaces an image's address: every product that shows the image gets the image of the new address."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse

from catalog.models import Image
from catalog.values import RecordError, clean_image_url
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


def answer_address_page(
    model_admin: LargeTableAdmin, request: HttpRequest, pk: int, *, replace: Callable[..., tuple[Image, int]]
) -> HttpResponse:
    """Ask for another address and, by POST, replace it wherever the image is shown, by `replace`."""
    image = get_object_or_404(Image, pk=pk)
    if not model_admin.has_change_permission(request, image):
        raise PermissionDenied
    form = AddressForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        replacement, number = replace(image, url=form.cleaned_data["url"])
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

"""Addresses of the catalogue below /api/v1/."""

from django.urls import path, re_path

from catalog.browse.api import ProductListView
from catalog.interchange.api import ProductExportView

urlpatterns = [
    path("products/", ProductListView.as_view(), name="api-product-list"),
    re_path(r"^products/export\.(?P<suffix>csv|jsonl|zip)$", ProductExportView.as_view(), name="api-product-export"),
]

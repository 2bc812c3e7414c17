"""Addresses of the catalogue's pages."""

from django.urls import path, re_path

from catalog.browse.views import full_size, product_list, thumbnail
from catalog.interchange.views import product_export

urlpatterns = [
    path("products/", product_list, name="product-list"),
    re_path(r"^products/export\.(?P<suffix>csv|jsonl|zip)$", product_export, name="product-export"),
    re_path(r"^thumbnails/(?P<sha256>[0-9a-f]{64})\.(?P<extension>[a-z]+)$", thumbnail, name="thumbnail"),
    re_path(r"^pictures/(?P<sha256>[0-9a-f]{64})\.jpg$", full_size, name="full-size"),
]

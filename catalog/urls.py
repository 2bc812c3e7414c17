"""Addresses of the catalogue's pages."""

from django.urls import path, re_path

from catalog.browse.views import full_size, product_action, product_list, thumbnail
from catalog.interchange.import_views import (
    product_import,
    product_import_done,
    product_import_refused,
    product_import_run,
)
from catalog.interchange.views import product_export

urlpatterns = [
    path("products/", product_list, name="product-list"),
    path("products/action/", product_action, name="product-action"),
    re_path(r"^products/export\.(?P<suffix>csv|jsonl|zip)$", product_export, name="product-export"),
    path("import/", product_import, name="product-import"),
    path("import/run/", product_import_run, name="product-import-run"),
    path("import/done/", product_import_done, name="product-import-done"),
    path("import/refused/", product_import_refused, name="product-import-refused"),
    re_path(r"^thumbnails/(?P<sha256>[0-9a-f]{64})\.jpg$", thumbnail, name="thumbnail"),
    re_path(r"^pictures/(?P<sha256>[0-9a-f]{64})\.jpg$", full_size, name="full-size"),
]

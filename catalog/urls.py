"""Addresses of the catalogue's pages."""

from django.urls import path, re_path

from catalog import export_views, similar_views, views

urlpatterns = [
    path("", views.start, name="start"),
    path("products/", views.product_list, name="product-list"),
    re_path(r"^products/export\.(?P<suffix>csv|jsonl|zip)$", export_views.product_export, name="product-export"),
    path("products/<int:product_id>/", views.product_detail, name="product-detail"),
    path("products/<int:product_id>/similar/", similar_views.similar_products, name="product-similar"),
    re_path(r"^thumbnails/(?P<sha256>[0-9a-f]{64})\.(?P<extension>[a-z]+)$", views.thumbnail, name="thumbnail"),
]

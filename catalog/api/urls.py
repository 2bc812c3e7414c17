"""Addresses of the catalogue below /api/v1/."""

from django.urls import path, re_path

from catalog.api.export_views import ProductExportView
from catalog.api.similar_views import SimilarProductsView
from catalog.api.views import ProductDetailView, ProductListView

urlpatterns = [
    path("products/", ProductListView.as_view(), name="api-product-list"),
    re_path(r"^products/export\.(?P<suffix>csv|jsonl|zip)$", ProductExportView.as_view(), name="api-product-export"),
    path("products/<int:pk>/", ProductDetailView.as_view(), name="api-product-detail"),
    path("products/<int:pk>/similar/", SimilarProductsView.as_view(), name="api-product-similar"),
]

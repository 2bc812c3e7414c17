"""Addresses of the catalogue below /api/v1/."""

from django.urls import path

from catalog.api.views import ProductDetailView, ProductListView

urlpatterns = [
    path("products/", ProductListView.as_view(), name="api-product-list"),
    path("products/<int:pk>/", ProductDetailView.as_view(), name="api-product-detail"),
]

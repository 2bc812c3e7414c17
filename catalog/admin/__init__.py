"""The catalogue in the admin: products and images, their import and export. Django's registration alone imports it."""

from catalog.admin.products import ImageAdmin, ProductAdmin

__all__ = ["ImageAdmin", "ProductAdmin"]

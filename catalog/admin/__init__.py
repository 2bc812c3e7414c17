"""The catalogue in the admin: products and images, their import and export.

For Django's registration, and for the admin pages of the classifier, which continue these.
"""

from catalog.admin.products import ImageAdmin, ProductAdmin

__all__ = ["ImageAdmin", "ProductAdmin"]

"""Addresses of the classifier below /api/v1/."""

from django.urls import path

from classifier.api.views import ImageClassificationListView

urlpatterns = [
    path(
        "images/<int:image_id>/classifications/",
        ImageClassificationListView.as_view(),
        name="api-image-classification-list",
    ),
]

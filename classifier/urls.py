"""Addresses of the pages about data and models."""

from django.urls import path, re_path

from classifier import views

urlpatterns = [
    path("data/", views.data_understanding, name="data-understanding"),
    re_path(
        r"^data/(?P<version>[0-9a-f]{16})/(?P<name>[a-z0-9-]+\.(?:svg|png))$", views.exploration_file, name="data-file"
    ),
]

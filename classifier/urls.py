"""Addresses of the pages about data, models and runs, and of the health checks."""

from django.urls import path, re_path

from classifier import health_views, views

urlpatterns = [
    path("data/", views.data_understanding, name="data-understanding"),
    re_path(
        r"^data/(?P<version>[0-9a-f]{16})/(?P<name>[a-z0-9-]+\.(?:svg|png))$", views.exploration_file, name="data-file"
    ),
    path("healthz/live", health_views.live, name="health-live"),
    path("healthz/ready", health_views.ready, name="health-ready"),
    path("healthz/workers", health_views.workers, name="health-workers"),
]

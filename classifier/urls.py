"""Addresses of the pages about data, models and runs, and of the health checks."""

from django.urls import path, re_path

from classifier import error_views, experiment_views, health_views, labelling_views, picture_views, run_views, views

urlpatterns = [
    path("data/", views.data_understanding, name="data-understanding"),
    re_path(
        r"^data/(?P<version>[0-9a-f]{16})/(?P<name>[a-z0-9-]+\.(?:svg|png))$", views.exploration_file, name="data-file"
    ),
    path("experiments/", experiment_views.experiments, name="experiments"),
    re_path(
        r"^experiments/(?P<recipe>[a-z0-9-]+)/(?P<version>[0-9a-f]{16})/(?P<name>[a-z0-9-]+\.(?:svg|png))$",
        experiment_views.experiment_file,
        name="experiment-file",
    ),
    path("images/<int:image_id>/explanation/", picture_views.image_explanation, name="image-explanation"),
    path(
        "products/<int:product_id>/images/<int:image_id>/review/",
        picture_views.product_image_review,
        name="product-image-review",
    ),
    path("labelling-runs/", labelling_views.labelling_run_list, name="labelling-run-list"),
    path("labelling-runs/<int:pk>/", labelling_views.labelling_run_detail, name="labelling-run-detail"),
    path("labelling-runs/<int:pk>/cancel/", labelling_views.labelling_run_cancel, name="labelling-run-cancel"),
    path("labelling-runs/<int:pk>/retry/", labelling_views.labelling_run_retry, name="labelling-run-retry"),
    path("errors/", error_views.error_list, name="error-list"),
    path("errors/retry/", error_views.error_retry, name="error-retry"),
    path("errors/ignore/", error_views.error_ignore, name="error-ignore"),
    path("training-runs/", run_views.training_run_list, name="training-run-list"),
    path("training-runs/<int:pk>/", run_views.training_run_detail, name="training-run-detail"),
    path("training-runs/<int:pk>/cancel/", run_views.training_run_cancel, name="training-run-cancel"),
    path("model-versions/", run_views.model_version_list, name="model-version-list"),
    path("model-versions/<int:pk>/", run_views.model_version_detail, name="model-version-detail"),
    path("model-versions/<int:pk>/activate/", run_views.model_version_activate, name="model-version-activate"),
    path("healthz/live", health_views.live, name="health-live"),
    path("healthz/ready", health_views.ready, name="health-ready"),
    path("healthz/workers", health_views.workers, name="health-workers"),
]

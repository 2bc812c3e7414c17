"""Addresses of the classifier below /api/v1/."""

from django.urls import path

from classifier.api import error_views, run_views, version_views, views

urlpatterns = [
    path(
        "images/<int:image_id>/classifications/",
        views.ImageClassificationListView.as_view(),
        name="api-image-classification-list",
    ),
    path("classify/", views.ClassifyView.as_view(), name="api-classify"),
    path("reviews/", views.ReviewListView.as_view(), name="api-review-list"),
    path("labelling-runs/", run_views.LabellingRunListView.as_view(), name="api-labelling-run-list"),
    path("labelling-runs/<int:pk>/", run_views.LabellingRunDetailView.as_view(), name="api-labelling-run-detail"),
    path(
        "labelling-runs/<int:pk>/cancel/", run_views.LabellingRunCancelView.as_view(), name="api-labelling-run-cancel"
    ),
    path("training-runs/", run_views.TrainingRunListView.as_view(), name="api-training-run-list"),
    path("training-runs/<int:pk>/", run_views.TrainingRunDetailView.as_view(), name="api-training-run-detail"),
    path("training-runs/<int:pk>/cancel/", run_views.TrainingRunCancelView.as_view(), name="api-training-run-cancel"),
    path("model-versions/", version_views.ModelVersionListView.as_view(), name="api-model-version-list"),
    path("model-versions/<int:pk>/", version_views.ModelVersionDetailView.as_view(), name="api-model-version-detail"),
    path(
        "model-versions/<int:pk>/activate/",
        version_views.ModelVersionActivationView.as_view(),
        name="api-model-version-activate",
    ),
    path("errors/", error_views.ErrorListView.as_view(), name="api-error-list"),
    path("errors/<int:pk>/retry/", error_views.ErrorRetryView.as_view(), name="api-error-retry"),
    path("errors/<int:pk>/ignore/", error_views.ErrorIgnoreView.as_view(), name="api-error-ignore"),
]

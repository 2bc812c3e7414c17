"""Addresses of the classifier's pages: the start page, products, runs, errors, versions, drift, reports, health."""

from django.urls import path, re_path

from classifier.adoption.impact_views import impact_products, model_version_impact
from classifier.adoption.views import (
    model_version_activate,
    model_version_detail,
    model_version_list,
    model_version_rollback,
    model_version_stage,
    stage_change_decide,
)
from classifier.audit.views import accuracy
from classifier.evidence.views import image_explanation, product_detail
from classifier.labelling.output_views import output_run_cancel, output_run_detail, output_run_list
from classifier.labelling.views import (
    error_ignore,
    error_list,
    error_picture,
    error_retry,
    image_mend,
    labelling_run_cancel,
    labelling_run_detail,
    labelling_run_list,
    labelling_run_retry,
)
from classifier.monitoring.drift_page import alarm_acknowledge, alarm_close, alarm_follow_up, drift
from classifier.monitoring.figures_page import figures
from classifier.monitoring.health_views import live, ready, workers
from classifier.monitoring.metrics import MetricsView
from classifier.monitoring.start_page import start
from classifier.reports.views import data_understanding, evaluations, experiments, report_picture
from classifier.reviews.views import (
    product_image_review,
    review_queue,
    review_queue_list,
    review_run_cancel,
    review_run_detail,
    review_run_withdraw,
)
from classifier.similar.views import similar_products
from classifier.training.comparing import training_run_compare
from classifier.training.views import (
    training_run_cancel,
    training_run_detail,
    training_run_list,
    training_run_train,
)

PICTURE = r"(?P<version>[0-9a-f]{16})/(?P<name>[a-z0-9-]+\.(?:svg|png))$"

urlpatterns = [
    path("", start, name="start"),
    path("products/<int:product_id>/", product_detail, name="product-detail"),
    path("products/<int:product_id>/similar/", similar_products, name="product-similar"),
    path("products/<int:product_id>/images/<int:image_id>/review/", product_image_review, name="product-image-review"),
    path("review/", review_queue_list, name="review-queue-list"),
    path("review/<slug:name>/", review_queue, name="review-queue"),
    path("review-runs/<int:pk>/", review_run_detail, name="review-run-detail"),
    path("review-runs/<int:pk>/cancel/", review_run_cancel, name="review-run-cancel"),
    path("review-runs/<int:pk>/withdraw/", review_run_withdraw, name="review-run-withdraw"),
    path("images/<int:image_id>/explanation/", image_explanation, name="image-explanation"),
    path("images/<int:image_id>/mend/", image_mend, name="image-mend"),
    path("accuracy/", accuracy, name="accuracy"),
    path("figures/", figures, name="figures"),
    path("drift/", drift, name="drift"),
    path("drift/alarms/<int:pk>/acknowledge/", alarm_acknowledge, name="alarm-acknowledge"),
    path("drift/alarms/<int:pk>/follow-up/", alarm_follow_up, name="alarm-follow-up"),
    path("drift/alarms/<int:pk>/close/", alarm_close, name="alarm-close"),
    path("data/", data_understanding, name="data-understanding"),
    re_path(rf"^data/{PICTURE}", report_picture, name="data-file"),
    path("evaluations/", evaluations, name="evaluations"),
    path("experiments/", experiments, name="experiments"),
    re_path(rf"^experiments/(?P<recipe>[a-z0-9-]+)/{PICTURE}", report_picture, name="experiment-file"),
    path("labelling-runs/", labelling_run_list, name="labelling-run-list"),
    path("labelling-runs/<int:pk>/", labelling_run_detail, name="labelling-run-detail"),
    path("labelling-runs/<int:pk>/cancel/", labelling_run_cancel, name="labelling-run-cancel"),
    path("labelling-runs/<int:pk>/retry/", labelling_run_retry, name="labelling-run-retry"),
    path("output-runs/", output_run_list, name="output-run-list"),
    path("output-runs/<int:pk>/", output_run_detail, name="output-run-detail"),
    path("output-runs/<int:pk>/cancel/", output_run_cancel, name="output-run-cancel"),
    path("errors/", error_list, name="error-list"),
    path("errors/retry/", error_retry, name="error-retry"),
    path("errors/ignore/", error_ignore, name="error-ignore"),
    path("errors/picture/", error_picture, name="error-picture"),
    path("training-runs/", training_run_list, name="training-run-list"),
    path("training-runs/compare/", training_run_compare, name="training-comparison"),
    path("training-runs/<int:pk>/", training_run_detail, name="training-run-detail"),
    path("training-runs/<int:pk>/cancel/", training_run_cancel, name="training-run-cancel"),
    path("training-runs/<int:pk>/train/", training_run_train, name="training-run-train"),
    path("model-versions/", model_version_list, name="model-version-list"),
    path("model-versions/<int:pk>/", model_version_detail, name="model-version-detail"),
    path("model-versions/<int:pk>/activate/", model_version_activate, name="model-version-activate"),
    path("model-versions/<int:pk>/impact/", model_version_impact, name="model-version-impact"),
    path("impact-runs/<int:pk>/products/", impact_products, name="impact-products"),
    path("model-versions/<int:pk>/stage/", model_version_stage, name="model-version-stage"),
    path("model-versions/rollback/", model_version_rollback, name="rollback"),
    path("stage-changes/<int:pk>/decide/", stage_change_decide, name="stage-change-decide"),
    path("metrics", MetricsView.as_view(), name="api-metrics"),
    path("healthz/live", live, name="health-live"),
    path("healthz/ready", ready, name="health-ready"),
    path("healthz/workers", workers, name="health-workers"),
]

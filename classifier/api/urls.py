"""Addresses of the classifier below /api/v1/."""

from django.urls import path, register_converter
from django.urls.converters import IntConverter

from classifier.adoption.api import (
    ApprovalView,
    ModelVersionActivationView,
    ModelVersionDetailView,
    ModelVersionImpactView,
    ModelVersionListView,
    ModelVersionStageChangesView,
    RejectionView,
    RollbackView,
    StageChangeDetailView,
    StageChangeListView,
    WithdrawalView,
)
from classifier.evidence.api import (
    ClassifyView,
    ImageClassificationListView,
    LabelChangeListView,
    ProductDetailView,
)
from classifier.labelling.api import (
    ErrorIgnoreView,
    ErrorListView,
    ErrorPictureView,
    ErrorRetryView,
    LabellingRunCancelView,
    LabellingRunDetailView,
    LabellingRunListView,
)
from classifier.labelling.output_api import OutputRunCancelView, OutputRunDetailView, OutputRunListView
from classifier.monitoring.api import (
    AlarmAcknowledgeView,
    AlarmCloseView,
    AlarmFollowUpView,
    AlarmListView,
    DriftCheckListView,
)
from classifier.monitoring.figures_api import FiguresView
from classifier.reviews.api import (
    QueueListView,
    ReviewBatchDetailView,
    ReviewBatchListView,
    ReviewBatchRenewalView,
    ReviewListView,
    ReviewRunCancelView,
    ReviewRunDetailView,
    ReviewRunWithdrawalView,
    ReviewWithdrawalView,
)
from classifier.similar.api import SimilarProductsView
from classifier.training.api import (
    TrainingRunCancelView,
    TrainingRunDetailView,
    TrainingRunListView,
    TrainingRunTrainView,
)


class SignedConverter(IntConverter):
    """A number that may be below zero."""

    regex = "-?[0-9]+"


register_converter(SignedConverter, "signed")

IMAGE, RUN, TRAINING, VERSION = "images/<int:image_id>", "labelling-runs/", "training-runs/", "model-versions/"
CHANGE = "stage-changes/"

urlpatterns = [
    path("figures/", FiguresView.as_view(), name="api-figures"),
    path("products/<int:pk>/", ProductDetailView.as_view(), name="api-product-detail"),
    path("products/<int:pk>/similar/", SimilarProductsView.as_view(), name="api-product-similar"),
    path(f"{IMAGE}/classifications/", ImageClassificationListView.as_view(), name="api-image-classification-list"),
    path("labels/changes/", LabelChangeListView.as_view(), name="api-label-change-list"),
    path("classify/", ClassifyView.as_view(), name="api-classify"),
    path("reviews/", ReviewListView.as_view(), name="api-review-list"),
    path("reviews/<int:pk>/withdraw/", ReviewWithdrawalView.as_view(), name="api-review-withdraw"),
    path("review-runs/<int:pk>/", ReviewRunDetailView.as_view(), name="api-review-run-detail"),
    path("review-runs/<int:pk>/cancel/", ReviewRunCancelView.as_view(), name="api-review-run-cancel"),
    path("review-runs/<int:pk>/withdraw/", ReviewRunWithdrawalView.as_view(), name="api-review-run-withdraw"),
    path("queues/", QueueListView.as_view(), name="api-queue-list"),
    path("review-batches/", ReviewBatchListView.as_view(), name="api-review-batch-list"),
    path("review-batches/<int:pk>/", ReviewBatchDetailView.as_view(), name="api-review-batch-detail"),
    path("review-batches/<int:pk>/renew/", ReviewBatchRenewalView.as_view(), name="api-review-batch-renew"),
    path(RUN, LabellingRunListView.as_view(), name="api-labelling-run-list"),
    path(f"{RUN}<int:pk>/", LabellingRunDetailView.as_view(), name="api-labelling-run-detail"),
    path(f"{RUN}<int:pk>/cancel/", LabellingRunCancelView.as_view(), name="api-labelling-run-cancel"),
    path("output-runs/", OutputRunListView.as_view(), name="api-output-run-list"),
    path("output-runs/<int:pk>/", OutputRunDetailView.as_view(), name="api-output-run-detail"),
    path("output-runs/<int:pk>/cancel/", OutputRunCancelView.as_view(), name="api-output-run-cancel"),
    path(TRAINING, TrainingRunListView.as_view(), name="api-training-run-list"),
    path(f"{TRAINING}<int:pk>/", TrainingRunDetailView.as_view(), name="api-training-run-detail"),
    path(f"{TRAINING}<int:pk>/cancel/", TrainingRunCancelView.as_view(), name="api-training-run-cancel"),
    path(f"{TRAINING}<int:pk>/train/", TrainingRunTrainView.as_view(), name="api-training-run-train"),
    path(VERSION, ModelVersionListView.as_view(), name="api-model-version-list"),
    path(f"{VERSION}<int:pk>/", ModelVersionDetailView.as_view(), name="api-model-version-detail"),
    path(f"{VERSION}<int:pk>/impact/", ModelVersionImpactView.as_view(), name="api-model-version-impact"),
    path(f"{VERSION}<int:pk>/activate/", ModelVersionActivationView.as_view(), name="api-model-version-activate"),
    path(f"{VERSION}<int:pk>/stage-changes/", ModelVersionStageChangesView.as_view(), name="api-model-version-changes"),
    path(f"{VERSION}rollback/", RollbackView.as_view(), name="api-rollback"),
    path(CHANGE, StageChangeListView.as_view(), name="api-stage-change-list"),
    path(f"{CHANGE}<int:pk>/", StageChangeDetailView.as_view(), name="api-stage-change-detail"),
    path(f"{CHANGE}<int:pk>/approve/", ApprovalView.as_view(), name="api-stage-change-approve"),
    path(f"{CHANGE}<int:pk>/reject/", RejectionView.as_view(), name="api-stage-change-reject"),
    path(f"{CHANGE}<int:pk>/withdraw/", WithdrawalView.as_view(), name="api-stage-change-withdraw"),
    path("drift-checks/", DriftCheckListView.as_view(), name="api-drift-check-list"),
    path("alarms/", AlarmListView.as_view(), name="api-alarm-list"),
    path("alarms/<int:pk>/acknowledge/", AlarmAcknowledgeView.as_view(), name="api-alarm-acknowledge"),
    path("alarms/<int:pk>/follow-up/", AlarmFollowUpView.as_view(), name="api-alarm-follow-up"),
    path("alarms/<int:pk>/close/", AlarmCloseView.as_view(), name="api-alarm-close"),
    path("errors/", ErrorListView.as_view(), name="api-error-list"),
    path("errors/<signed:pk>/retry/", ErrorRetryView.as_view(), name="api-error-retry"),
    path("errors/<signed:pk>/ignore/", ErrorIgnoreView.as_view(), name="api-error-ignore"),
    path("errors/<signed:pk>/picture/", ErrorPictureView.as_view(), name="api-error-picture"),
]

"""The classifier in the admin: the faces of its packages, and their actions on the catalogue's products and images."""

from typing import Any, ClassVar

from django.contrib import admin

from catalog.admin.products import ImageAdmin, ProductAdmin
from catalog.models import Image, Product, ProductLabel
from classifier.adoption.admin import AdoptionRunAdmin, ModelVersionAdmin, StageChangeAdmin
from classifier.cleaning.rules import Figures
from classifier.labelling.admin import (
    ClassificationAdmin,
    LabellingRunAdmin,
    LabelTaskAdmin,
    OutputRunAdmin,
    SuspectedPictureAdmin,
)
from classifier.labelling.errors import mend_image
from classifier.labelling.product_actions import LabellingMixin
from classifier.labels.admin import LabelModelVersionFilter, ProductLabelAdmin
from classifier.models import (
    AdoptionRun,
    Classification,
    CleaningRun,
    LabellingRun,
    LabelTask,
    ModelVersion,
    OutputRun,
    QueueCanary,
    Review,
    ReviewRun,
    SplitAssignment,
    StageChange,
    SuspectedPicture,
    TrainingRun,
)
from classifier.reviews.admin import MARK_ACTIONS, ImageMarkingMixin, ProductMarkingMixin, ReviewAdmin, ReviewRunAdmin
from classifier.splits.admin import SplitAssignmentAdmin
from classifier.training.admin import TrainingRunAdmin
from config.web.admin import ReadOnlyAdmin


class LabelledProductAdmin(ProductMarkingMixin, LabellingMixin, ProductAdmin):
    """The catalogue's products, with actions that lead to labels."""

    list_filter: ClassVar[Any] = (*ProductAdmin.list_filter, LabelModelVersionFilter)
    actions = (*MARK_ACTIONS, "take_back_selected", "label_selected", "relabel_selected", *ProductAdmin.actions)


class LabelledImageAdmin(ImageMarkingMixin, ImageAdmin):
    """The catalogue's images, with actions that give them a person's label; what failed of one is mended with it."""

    actions = (*MARK_ACTIONS, *ImageAdmin.actions)

    def replace_address(self, image: Image, *, url: str) -> tuple[Image, int]:
        """Do so as the page of errors does: what failed goes on with the image of the new address."""
        return mend_image(image, url=url)[:2]


class QueueCanaryAdmin(ReadOnlyAdmin):
    """When a message last came back through each queue."""

    list_display = ("queue", "sent_at", "done_at")
    ordering = ("queue",)
    sortable_by = ()


class CleaningRunAdmin(ReadOnlyAdmin):
    """What the workers removed, round by round."""

    list_display = fields = ("id", "state", "removed", "phase", "started_at", "finished_at")
    readonly_fields = ("removed",)
    ordering = ("-id",)
    sortable_by = ()

    @admin.display
    def removed(self, run: CleaningRun) -> str:
        """Show what went, in words."""
        return Figures(**run.figures).words


admin.site.unregister([Product, Image])
for model, model_admin in (
    (Product, LabelledProductAdmin),
    (Image, LabelledImageAdmin),
    (ProductLabel, ProductLabelAdmin),
    (ModelVersion, ModelVersionAdmin),
    (StageChange, StageChangeAdmin),
    (AdoptionRun, AdoptionRunAdmin),
    (LabellingRun, LabellingRunAdmin),
    (LabelTask, LabelTaskAdmin),
    (SuspectedPicture, SuspectedPictureAdmin),
    (Classification, ClassificationAdmin),
    (Review, ReviewAdmin),
    (ReviewRun, ReviewRunAdmin),
    (TrainingRun, TrainingRunAdmin),
    (SplitAssignment, SplitAssignmentAdmin),
    (QueueCanary, QueueCanaryAdmin),
    (CleaningRun, CleaningRunAdmin),
    (OutputRun, OutputRunAdmin),
):
    admin.site.register(model, model_admin)

"""Actions of the admin's list of products that start labelling runs over what is selected."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from catalog.browse.actions import ListButton, show_in_list
from catalog.models import Image, Product
from classifier.labelling.starting import start_labelling_run
from classifier.registry.selectors import NoActiveModelVersionError, find_active_model_version
from classifier.runs.pages import warn_without_worker
from config.web.admin import LargeTableAdmin, Question, ask
from config.web.permissions import get_member


class LabellingMixin(LargeTableAdmin):
    """An admin of products whose actions label what is selected, in a run."""

    def has_label_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may start labelling runs."""
        return request.user.has_perm("classifier.add_labellingrun")

    @show_in_list(ListButton("Label", "Only missing"))
    @admin.action(description="Label selected products", permissions=["label"])
    def label_selected(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        """Ask, then start a labelling run over every image of the selected products that has no label yet."""
        return self._start_run(request, queryset, relabel=False)

    @show_in_list(ListButton("Label", "Again"))
    @admin.action(description="Label selected products again", permissions=["label"])
    def relabel_selected(self, request: HttpRequest, queryset: QuerySet[Product]) -> HttpResponse | None:
        """Ask, then start a labelling run over every image of the selected products, labelled or not."""
        return self._start_run(request, queryset, relabel=True)

    def _start_run(self, request: HttpRequest, queryset: QuerySet[Product], *, relabel: bool) -> HttpResponse | None:
        version = find_active_model_version()
        if version is None:
            self.message_user(request, str(NoActiveModelVersionError()), messages.ERROR)
            return None
        images = Image.objects.filter(product_images__product__in=queryset.order_by().values("pk")).distinct()
        which = "every image, labelled or not" if relabel else f"the images that {version.name} has not labelled yet"
        question = Question(
            title="Label these products again?" if relabel else "Label these products?",
            text=f"A labelling run with {version.name} takes {which}. Images that another run holds stay with it.",
            button="Start the run",
            counts=[
                ("Selected products", self.count_in_words(queryset)),
                ("Their images", self.count_in_words(images)),
            ],
        )
        if page := ask(self, request, queryset, question=question):
            return page
        run = start_labelling_run(images=images, relabel=relabel, user=get_member(request))
        self.log_addition(request, run, f"Started over selected products{', labelled or not' if relabel else ''}.")
        address = reverse("labelling-run-detail", args=[run.pk])
        number = f"{run.total}{' and more' if run.is_taking else ''}"
        text = format_html('<a href="{}">Labelling run {}</a> started over {} images.', address, run.pk, number)
        self.message_user(request, text, messages.SUCCESS)
        warn_without_worker(request)
        return None

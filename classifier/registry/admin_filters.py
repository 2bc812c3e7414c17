"""Filters of the admin's lists by model version."""

from typing import Any

from django.contrib.admin.options import BaseModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest

from catalog.admin.lists import LabelFilter
from classifier.models import ModelVersion


class LabelModelVersionFilter(LabelFilter):
    """Products by the model version behind their label."""

    title = "model version"
    parameter_name = "model_version"

    def lookups(self, request: HttpRequest, model_admin: BaseModelAdmin) -> list[tuple[str, str]]:
        """Return the versions, newest first."""
        return [(str(pk), name) for pk, name in ModelVersion.objects.order_by("-pk").values_list("pk", "name")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Return the products that the chosen version labelled."""
        value = self.value() or ""
        return super().queryset(request, queryset) if value.isascii() and value.isdigit() else queryset


class OwnModelVersionFilter(LabelModelVersionFilter):
    """Labels by model version."""

    path = ""

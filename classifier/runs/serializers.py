"""The JSON that all runs have in common."""

from typing import Any

from rest_framework import serializers

#: Fields of every run; `progress` and what was asked for are each kind's own.
RUN_FIELDS = ["id", "state", "cancel_requested", "error", "created_at", "started_at", "finished_at"]


class RunSerializer(serializers.ModelSerializer[Any]):
    """A run: its state, when it was asked for, begun and ended, and what went wrong."""

    class Meta:
        fields = RUN_FIELDS

"""Families and their parts in the admin, to be read."""

from config.web.admin import ReadOnlyAdmin


class SplitAssignmentAdmin(ReadOnlyAdmin):
    """Families of pictures and products, the part of each, and why some are left out."""

    list_display = ("id", "part", "left_out_because", "left_out_for", "left_out_at", "created_at")
    list_filter = ("part", "left_out_because")
    list_select_related = ("left_out_for",)
    fields = list_display

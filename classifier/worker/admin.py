"""The canaries of the queues in the admin."""

from config.web.admin import ReadOnlyAdmin


class QueueCanaryAdmin(ReadOnlyAdmin):
    """When a message last came back through each queue."""

    list_display = ("queue", "sent_at", "done_at")
    ordering = ("queue",)
    sortable_by = ()

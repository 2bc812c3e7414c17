"""What the menu of every page says of reviews."""

from typing import Any

from django.http import HttpRequest

from classifier.models import QueueName
from classifier.reviews.queues import QUEUES


def add_reviews_waiting(request: HttpRequest) -> dict[str, Any]:
    """Return the function that counts what waits for a person; only the menu of who may give labels calls it."""
    return {"count_reviews_waiting": QUEUES[QueueName.UNSURE].count}

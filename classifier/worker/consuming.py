"""How a worker takes messages from a broker that refuses something, as Redis does that is full or a replica."""

import time

from celery.worker.consumer import Consumer

PAUSE_SECONDS = 1.0


class PatientConsumer(Consumer):
    """Celery's consumer, but that it does not connect again at once after a refusal, five times a second."""

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Say so, and wait a moment."""
        super().on_connection_error_before_connected(exc)
        time.sleep(PAUSE_SECONDS)

    def on_connection_error_after_connected(self, exc: Exception) -> None:
        """Say so, give back what is in hand, and wait a moment."""
        super().on_connection_error_after_connected(exc)
        time.sleep(PAUSE_SECONDS)

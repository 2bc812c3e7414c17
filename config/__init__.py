"""The project's ground: settings, URLs, the Celery application, and what every feature needs."""

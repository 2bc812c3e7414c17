"""The project: settings, URLs, and the Celery application.

Importing the application here makes ``shared_task`` find it in every process that loads Django.
"""

from config.celery import app as celery_app

__all__ = ["celery_app"]

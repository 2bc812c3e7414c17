"""The settings. Whoever loads them loads the Celery application, in which `shared_task` finds its place.

Not the package `config`: `classifier.ml` takes `config.files` and must not load Celery with it.
"""

from config.celery import app as celery_app

__all__ = ["celery_app"]

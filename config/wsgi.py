"""WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from config.db.statements import limit_web_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")
# Before NumPy is there: threads of its matrix products would busily wait for each other, and keep processors from other
# requests. What is worth threads has its own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

application = get_wsgi_application()
limit_web_statements()

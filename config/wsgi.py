"""WSGI entry point."""

import os

from django.core.wsgi import get_wsgi_application

from config.db.statements import limit_web_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

application = get_wsgi_application()
limit_web_statements()

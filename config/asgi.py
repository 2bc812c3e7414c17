"""ASGI entry point."""

import os

from django.core.asgi import get_asgi_application

from config.db.statements import limit_web_statements

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.base")

application = get_asgi_application()
limit_web_statements()

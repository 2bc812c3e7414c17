"""Deploy checks: what works on one machine and is no site for others."""

from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def check_deployment(**_kwargs: Any) -> list[Warning]:
    """Warn of each setting that a site which others reach should not have."""
    found = (
        (
            settings.DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3",
            "The database is SQLite: one machine, and one writer at a time. Set DATABASE_URL to PostgreSQL.",
        ),
        (
            not settings.REDIS_URL,
            "The broker is a folder: one machine, and each process counts calls and guesses for itself. Set REDIS_URL.",
        ),
        (
            "*" in settings.ALLOWED_HOSTS,
            "ALLOWED_HOSTS=* takes any Host header for this site's. Name the site's own hosts.",
        ),
        (
            _is_open_redis(settings.REDIS_URL),
            "REDIS_URL names another machine and no password: whoever reaches it can send work to the workers.",
        ),
        (
            not settings.ARTEFACT_KEY,
            "ARTEFACT_KEY is not set: whoever can write to ARTEFACTS_DIR and the database can exchange a network.",
        ),
        (
            settings.HTTPS and settings.REST_FRAMEWORK["NUM_PROXIES"] == 0,
            "HTTPS is set and NUM_PROXIES is 0: all who come through the proxy count as one address, and share its"
            " limits. Set NUM_PROXIES to the number of proxies in front.",
        ),
    )
    return [Warning(text, id=f"config.W{number:03}") for number, (holds, text) in enumerate(found, 1) if holds]


def _is_open_redis(url: str) -> bool:
    parts = urlsplit(url)
    if not parts.hostname or parts.password or parts.hostname == "localhost":
        return False
    try:
        return not ip_address(parts.hostname).is_loopback
    except ValueError:
        return True

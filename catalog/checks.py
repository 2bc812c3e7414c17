"""Deploy checks of the fetcher's settings."""

from typing import Any

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def check_allowed_networks(**_kwargs: Any) -> list[Warning]:
    """Warn when pictures may be fetched from private networks: whoever imports a catalogue can then reach them."""
    if not settings.FETCH_ALLOWED_NETWORKS:
        return []
    networks = ", ".join(settings.FETCH_ALLOWED_NETWORKS)
    return [Warning(f"FETCH_ALLOWED_NETWORKS opens {networks} to the URLs of the catalogue.", id="catalog.W001")]

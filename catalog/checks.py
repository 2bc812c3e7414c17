"""Checks of the fetcher's settings."""

from typing import Any

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register

from catalog.fetching.addresses import build_networks
from catalog.fetching.host_settings import parse_host_headers, parse_host_rates


@register()
def check_fetch_settings(**_kwargs: Any) -> list[Error]:
    """Check that what is written as text can be read; no message holds a header's value."""
    errors = []
    settings_read = {
        "FETCH_ALLOWED_NETWORKS": build_networks,
        "FETCH_HOST_HEADERS": parse_host_headers,
        "FETCH_HOST_RATES": parse_host_rates,
    }
    for name, read in settings_read.items():
        try:
            read(getattr(settings, name))
        except ValueError as error:
            errors.append(Error(f"{name}: {error}.", id="catalog.E001"))
    return errors


@register(Tags.security, deploy=True)
def check_allowed_networks(**_kwargs: Any) -> list[Warning]:
    """Warn when pictures may be fetched from private networks: whoever imports a catalogue can then reach them."""
    if not settings.FETCH_ALLOWED_NETWORKS:
        return []
    networks = ", ".join(settings.FETCH_ALLOWED_NETWORKS)
    return [Warning(f"FETCH_ALLOWED_NETWORKS opens {networks} to the URLs of the catalogue.", id="catalog.W001")]

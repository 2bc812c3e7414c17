"""The checks of the fetcher's settings."""

from django.core.checks import run_checks

from catalog.checks import check_allowed_networks


def test_no_private_network_is_open_by_default() -> None:
    assert check_allowed_networks() == []


def test_an_opened_network_is_named_in_a_warning(settings) -> None:
    settings.FETCH_ALLOWED_NETWORKS = ["10.1.0.0/16"]
    (warning,) = check_allowed_networks()
    assert warning.id == "catalog.W001"
    assert "10.1.0.0/16" in warning.msg


def test_settings_that_cannot_be_read_are_named_and_their_secrets_are_not(settings) -> None:
    settings.FETCH_ALLOWED_NETWORKS = ["10.1.0.1/16"]
    settings.FETCH_HOST_HEADERS = '{"cdn.example": {"Host": "secret"}}'
    errors = [error for error in run_checks() if error.id == "catalog.E001"]
    assert [error.msg for error in errors] == [
        "FETCH_ALLOWED_NETWORKS: 10.1.0.1/16 has host bits set.",
        "FETCH_HOST_HEADERS: cdn.example: expected a header that is not the fetcher's own affair, got Host.",
    ]
    settings.FETCH_ALLOWED_NETWORKS, settings.FETCH_HOST_HEADERS = [], '{"cdn.example": {"User-Agent": "Mozilla/5.0"}}'
    assert not [error for error in run_checks() if error.id == "catalog.E001"]

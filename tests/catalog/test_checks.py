"""The deploy check of the fetcher's settings."""

from catalog.checks import check_allowed_networks


def test_no_private_network_is_open_by_default() -> None:
    assert check_allowed_networks() == []


def test_an_opened_network_is_named_in_a_warning(settings) -> None:
    settings.FETCH_ALLOWED_NETWORKS = ["10.1.0.0/16"]
    (warning,) = check_allowed_networks()
    assert warning.id == "catalog.W001"
    assert "10.1.0.0/16" in warning.msg

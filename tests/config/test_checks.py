"""What a site that others reach should not have."""

from typing import Any

import pytest

from config.checks import check_deployment

SOUND: dict[str, Any] = {
    "DATABASES": {"default": {"ENGINE": "django.db.backends.postgresql"}},
    "REDIS_URL": "redis://:secret@cache.example:6379/0",
    "ALLOWED_HOSTS": ["shop.example"],
    "ARTEFACT_KEY": "a key",
    "HTTPS": True,
    "REST_FRAMEWORK": {"NUM_PROXIES": 1},
}


def find_warnings(settings: Any, **changed: Any) -> list[str]:
    for name, value in {**SOUND, **changed}.items():
        setattr(settings, name, value)
    return [str(warning.id) for warning in check_deployment()]


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"REDIS_URL": "redis://127.0.0.1:6379/0"},
        {"REDIS_URL": "redis://[::1]:6379/0"},
        {"REDIS_URL": "rediss://localhost/1"},
        {"REDIS_URL": "unix:///run/redis.sock"},
        {"HTTPS": False, "REST_FRAMEWORK": {"NUM_PROXIES": 0}},
    ],
)
def test_sound_settings_are_not_warned_of(settings, changed: dict[str, Any]) -> None:
    assert find_warnings(settings, **changed) == []


@pytest.mark.parametrize(
    "number, changed",
    [
        (1, {"DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3"}}}),
        (2, {"REDIS_URL": ""}),
        (3, {"ALLOWED_HOSTS": ["shop.example", "*"]}),
        (4, {"REDIS_URL": "redis://cache.example:6379/0"}),
        (4, {"REDIS_URL": "rediss://user@10.0.0.5/0"}),
        (5, {"ARTEFACT_KEY": ""}),
        (6, {"REST_FRAMEWORK": {"NUM_PROXIES": 0}}),
    ],
)
def test_each_setting_has_a_warning_of_its_own(settings, number: int, changed: dict[str, Any]) -> None:
    assert find_warnings(settings, **changed) == [f"config.W{number:03}"]

"""The environment variables that settings are read from: any of them may be in a file, none may be a sample."""

from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured
from environ.fileaware_mapping import FileAwareMapping

#: Stands where this product's examples want a secret.
SAMPLE = "change-me"


class _Variables(FileAwareMapping):
    """`NAME_FILE` names the file that has the value of `NAME`."""

    def __getitem__(self, key: str) -> Any:
        try:
            value = super().__getitem__(key)
        except OSError as error:
            path = self.env[f"{key}_FILE"]
            raise ImproperlyConfigured(
                f"{key}_FILE: expected a file that can be read, got {path}: {error.strerror}"
            ) from error
        value = value.strip()
        if SAMPLE in value.lower():
            raise ImproperlyConfigured(f"{key}: expected a value of your own, got that of an example ({SAMPLE})")
        return value


class Environment(environ.Env):
    """Reads settings; raises `ImproperlyConfigured` in words that hold no value."""

    ENVIRON = _Variables()

"""The hash of a password, computed where nobody else waits for it."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from django.contrib.auth.hashers import PBKDF2PasswordHasher

# On Linux a thread has a niceness of its own, elsewhere the whole process. Beside workers that keep every core busy 5
# has a quarter of one, so that people sign in within two seconds; 19 had a hundredth, and they waited for a minute.
_NICENESS = 5 if sys.platform == "linux" else 0


def give_way() -> None:
    """Make this thread nicer, where that is allowed: a sandbox may refuse it, and people sign in all the same."""
    with suppress(OSError):
        os.nice(_NICENESS)


class PatientHasher(PBKDF2PasswordHasher):
    """Django's own hash, one at a time in a thread that gives way to those who answer readers.

    It takes half a second of a processor, on purpose; passwords that strangers try must not cost readers that.
    """

    pool = ThreadPoolExecutor(1, "passwords", initializer=give_way)

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """Return what is stored of the password."""
        return self.pool.submit(super().encode, password, salt, iterations).result()

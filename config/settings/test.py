"""Settings for the test suite: the base settings with a fast password hasher and everything written to a private folder.

The test command starts the database and the broker and names them in ``DATABASE_URL`` and ``REDIS_URL`` beforehand.
"""

import os
import tempfile

os.environ.setdefault("VAR_DIR", tempfile.mkdtemp(prefix="catalogue-tests-"))
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)

from config.settings.base import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LABELLING_SWEEP_SECONDS = 1.0

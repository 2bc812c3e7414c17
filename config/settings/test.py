"""Settings for the test suite: the base settings, a fast password hasher, and a private folder for what is written.

The test command starts the database and the broker and names them in ``DATABASE_URL`` and ``REDIS_URL`` beforehand.
"""

import os
import tempfile

from config.settings.base import *  # noqa: F403

if "VAR_DIR" not in os.environ:
    os.environ["VAR_DIR"] = tempfile.mkdtemp(prefix="test-var-")
os.environ.setdefault("SECRET_KEY", "only-for-tests-" + "x" * 50)

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
LABELLING_SWEEP_SECONDS = 1.0
CLEAN_EVERY_HOURS = 0.0
# Whatever the database; tests of approvals ask for two.
APPROVALS = "one"
# Each test client loads the middleware anew, and would go through all static files beforehand: 25 ms a client.
WHITENOISE_AUTOREFRESH = True

if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":  # noqa: F405
    # A file, as in the product: a database in memory would be invisible to other processes and ignore WAL.
    DATABASES["default"]["TEST"] = {"NAME": VAR_DIR / "test.sqlite3"}  # noqa: F405

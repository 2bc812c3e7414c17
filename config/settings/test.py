"""Settings for the test suite: the base settings and a fast password hasher.

The test command names the database, the broker and a private folder for what is written in the environment beforehand.
"""

from config.settings.base import *  # noqa: F403

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

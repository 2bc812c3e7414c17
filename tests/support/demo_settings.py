"""The settings of a demo that tests run: the product's own, with a fast password hasher.

The product's gives way to whatever else is at work, and beside other tests each sign-in would wait for seconds.
"""

from config.settings.base import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

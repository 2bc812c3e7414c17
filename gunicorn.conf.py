"""Gunicorn's options, read when it starts in this folder; those of the command line come before them.

For the site behind the front that docs/operations.md describes, which alone can wait for slow readers and senders.
"""

import gc
import os
import signal
import sys
from io import StringIO
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.urls import get_resolver
from gunicorn.arbiter import Arbiter

from config.logs import build_logging

bind = "127.0.0.1:8000"
workers = 2
threads = 4
# It would lie in $HOME and be taken over by a second site of the same user.
control_socket_disable = True
logconfig_dict = build_logging(form=os.environ.get("LOG_FORMAT", "line"), level=os.environ.get("LOG_LEVEL", "INFO"))


def post_fork(_server: Any, worker: Any) -> None:
    """End the server where Django's checks find an error, which it says on standard error, before anybody is served.

    Each of the first processes looks for itself, as it loads the site anyway; the one that started them never loads it,
    so that a reload takes new code. Those that come later do not end a site that runs.
    """
    if worker.age > worker.cfg.workers:
        return
    # The starter's own handler, which it has from there, would have it go on when it is told to end.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        # It sets Django up as `config.wsgi` does.
        import config.wsgi  # noqa: F401

        call_command("check", stdout=StringIO())
    except (ImproperlyConfigured, SystemCheckError) as error:
        if worker.age > 1:  # it would say the same: the first one's end ends it
            signal.pause()
        words = f"{type(error).__name__}: {error}" if isinstance(error, ImproperlyConfigured) else str(error)
        sys.stderr.write(f"{words}\n")
        sys.exit(Arbiter.WORKER_BOOT_ERROR)


def post_worker_init(_worker: Any) -> None:
    """Load what the first page would load, and let the collector of cycles pass over all that: none of it ever goes.

    It would look at 170,000 objects every few hundred pages, while all threads wait for 80 ms.
    """
    _ = get_resolver().url_patterns
    gc.collect()
    gc.freeze()

"""Gunicorn's options, read when it starts in this folder; those of the command line come before them.

For the site behind the front that docs/operations.md describes, which alone can wait for slow readers and senders.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from config.logs import build_logging

bind = "127.0.0.1:8000"
workers = 2
threads = 4
# It would lie in $HOME and be taken over by a second site of the same user.
control_socket_disable = True
logconfig_dict = build_logging(form=os.environ.get("LOG_FORMAT", "line"), level=os.environ.get("LOG_LEVEL", "INFO"))


def on_starting(_server: Any) -> None:
    """Refuse to start where `manage.py check` finds an error, which it says on standard error.

    In a process of its own: this one never loads the site, so that a reload takes new code.
    """
    command = [sys.executable, "manage.py", "check"]
    checked = subprocess.run(command, cwd=Path(__file__).parent, stdout=subprocess.DEVNULL, check=False)
    if checked.returncode:
        sys.exit(checked.returncode)

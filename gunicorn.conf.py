"""Gunicorn's options, read when it starts in this folder; those of the command line come before them.

For the site behind the front that docs/operations.md describes, which alone can wait for slow readers and senders.
"""

import os

from config.logs import build_logging

bind = "127.0.0.1:8000"
workers = 2
threads = 4
# It would lie in $HOME and be taken over by a second site of the same user.
control_socket_disable = True
logconfig_dict = build_logging(form=os.environ.get("LOG_FORMAT", "line"), level=os.environ.get("LOG_LEVEL", "INFO"))

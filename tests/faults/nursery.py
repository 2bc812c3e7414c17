"""Starts worker processes within a fraction of a second: imports everything once, then forks on request.

Reads one JSON document a line: `argv` of the worker, `log` to write to, `environ`, what differs in `settings`,
`database` and `broker_options`, and the folder of a `small_disk`. Answers each with the pid of the worker, which leads
a session and a process group of its own. Ends, with every worker it started, when its standard input closes.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import resource
import signal
import sys
from typing import Any

import django
from celery import signals
from celery.utils.imports import symbol_by_name

CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
SMALL_DISK_BYTES = 512 * 1024
WORKER_MODULES = (
    "billiard.popen_fork",
    "billiard.synchronize",
    "celery.app.trace",
    "celery.apps.worker",
    "celery.bin.celery",
    "celery.concurrency.asynpool",
    "celery.concurrency.prefork",
    "celery.contrib.migrate",
    "celery.utils.static",
    "celery.worker.autoscale",
    "celery.worker.components",
    "celery.worker.control",
    "celery.worker.loops",
    "celery.worker.strategy",
    "config.consumer",
)


def main() -> None:
    """Fork a worker for each line of standard input."""
    django.setup()
    from config.celery import refuse_bad_settings
    from tests.faults.worker_app import app

    _import_what_workers_need(app)
    signals.worker_init.disconnect(refuse_bad_settings)  # some limits contradict each other here
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the workers
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    workers = []
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become_worker(app, json.loads(line))
        workers.append(pid)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
    for pid in workers:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def _import_what_workers_need(app: Any) -> None:
    """Import now what Celery imports when it runs a worker: half of the processor's time that one takes to start."""
    for name in WORKER_MODULES:
        importlib.import_module(name)
    app.loader.import_default_modules()
    for step in app.steps["worker"]:
        symbol_by_name(step)
    gc.freeze()


def _become_worker(app: Any, order: dict[str, Any]) -> None:
    from django.conf import settings
    from django.db import connections

    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        null, log = os.open(os.devnull, os.O_RDONLY), os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for source, target in ((null, 0), (log, 1), (log, 2)):
            os.dup2(source, target)
        os.environ.update(order["environ"])
        for name, value in order["settings"].items():
            setattr(settings, name, value)
        task = app.tasks["classifier.tasks.label_batch_task"]
        task.soft_time_limit = settings.LABELLING_SOFT_LIMIT_SECONDS
        task.time_limit = settings.LABELLING_HARD_LIMIT_SECONDS
        connections["default"].settings_dict.update(order["database"])
        app.conf.broker_transport_options |= order["broker_options"]
        if order["small_disk"]:
            _make_small_disk(order["small_disk"])
        app.worker_main(order["argv"])
    finally:
        os._exit(1)


def _make_small_disk(folder: str) -> None:
    """Mount a small disk at the folder, seen by this process alone; where that is not allowed, bound its files."""
    libc = ctypes.CDLL(None, use_errno=True)
    mounted = (
        libc.unshare(CLONE_NEWNS) == 0
        and libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None) == 0
        and libc.mount(b"tmpfs", folder.encode(), b"tmpfs", 0, b"size=%d" % SMALL_DISK_BYTES) == 0
    )
    if not mounted:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_DISK_BYTES, SMALL_DISK_BYTES))


if __name__ == "__main__":
    main()

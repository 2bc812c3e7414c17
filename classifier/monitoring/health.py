"""Whether this process can do its work: database, broker, storage, the active model version, the workers' queues."""

import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from django.conf import settings
from django.db import Error, connection
from kombu import Connection

from catalog.pictures import storage
from classifier.ml.artefacts import ArtefactError
from classifier.registry.runtime import check_golden_answers, get_classifier
from classifier.registry.selectors import NoActiveModelVersionError, get_active_model_version
from classifier.registry.services import check_registered_manifest
from classifier.runs.workers import list_queue_health
from config.db.troubles import AWAY, find_trouble

logger = logging.getLogger(__name__)

OK, NOT_WRITABLE = "ok", "cannot be written to"
BROKER_TIMEOUT_SECONDS = 1


def check_readiness() -> dict[str, str]:
    """Return `ok` or a few words for all that the site needs; no address, path or password is in them."""
    return {
        "database": _answer(check_database),
        "broker": _answer(check_broker),
        "storage": _answer(check_storage),
        "model_version": _answer(check_model_version),
    }


def _answer(check: Callable[[], str]) -> str:
    """Return what the check says; what it raises is logged, and says only what is wrong in general."""
    try:
        return check()
    except Exception as error:  # a check must answer whatever is broken
        logger.warning("%s failed: %s: %s", check.__name__, type(error).__name__, error)
        trouble = find_trouble(error)
        return trouble.words if trouble is not None and trouble is not AWAY else "not reachable"


def check_database() -> str:
    """Return `ok` when the database answers and, if it is PostgreSQL, takes writes; raise its error when not."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only" if connection.vendor == "postgresql" else "SELECT 'off'")
        return OK if cursor.fetchone() == ("off",) else NOT_WRITABLE


def check_broker() -> str:
    """Return `ok` when Redis writes something down within a second, or the folder of the file broker takes a file.

    Raises the broker's error when it is not reachable.
    """
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    if not settings.REDIS_URL:
        return _check_folder(options["data_folder_out"])
    limits = {"socket_connect_timeout": BROKER_TIMEOUT_SECONDS, "socket_timeout": BROKER_TIMEOUT_SECONDS}
    with Connection(settings.CELERY_BROKER_URL, transport_options={**options, **limits}) as broker:
        try:
            broker.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT_SECONDS)
            channel: Any = broker.default_channel  # its types know nothing of Redis
            channel.client.set("catalogue-health", 1, ex=60)
        except broker.channel_errors as error:  # full, or a replica
            logger.warning("the broker takes no writes: %s", error)
            return NOT_WRITABLE
    return OK


def check_storage() -> str:
    """Return `ok` when the media storage takes a small file and gives it back, and has room for more."""
    try:
        storage.check_storage()
    except storage.StorageError as error:
        logger.warning("%s", error)
        return NOT_WRITABLE
    return OK


def _check_folder(folder: str) -> str:
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"ok")
    except OSError as error:
        logger.warning("no file can be written to %s: %s", folder, error)
        return NOT_WRITABLE
    return OK


def check_model_version() -> str:
    """Return `ok` when the active version's registered files lie here, and its network labels pictures here as ever."""
    try:
        version = get_active_model_version()
        check_registered_manifest(version)
        get_classifier(version)
        check_golden_answers(version)
    except NoActiveModelVersionError:
        return "none is in production"
    except ArtefactError as error:
        logger.warning("the model version in production cannot be loaded: %s", error)
        return error.reason
    return OK


def check_queues() -> dict[str, str]:
    """Return `ok` or `stale` for each queue that a worker ever served, or that the database is not reachable."""
    try:
        return {health.queue: "stale" if health.stale else OK for health in list_queue_health()}
    except Error as error:
        logger.warning("the canaries cannot be read: %s", error)
        return {"database": "not reachable"}

"""Whether this process can do its work: database, broker, the active model version, the workers' queues."""

import logging
import os
from collections.abc import Callable

from django.conf import settings
from django.db import Error, connection
from kombu import Connection

from classifier.ml.artefacts import ArtefactError
from classifier.registry.selectors import NoActiveModelVersionError, get_active_model_version
from classifier.registry.services import check_registered_manifest
from classifier.runs.workers import list_queue_health

logger = logging.getLogger(__name__)

OK = "ok"
BROKER_TIMEOUT_SECONDS = 1


def check_readiness() -> dict[str, str]:
    """Return `ok` or a few words for database, broker and model version; no address, path or password is in them."""
    return {
        "database": _answer(check_database),
        "broker": _answer(check_broker),
        "model_version": _answer(check_model_version),
    }


def _answer(check: Callable[[], str]) -> str:
    """Return what the check says; what it raises is logged, and says only that something cannot be reached."""
    try:
        return check()
    except Exception as error:  # a check must answer whatever is broken
        logger.warning("%s failed: %s: %s", check.__name__, type(error).__name__, error)
        return "not reachable"


def check_database() -> str:
    """Return `ok` when the database answers; raise its error when not."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def check_broker() -> str:
    """Return `ok` when Redis answers within a second, or the folder of the file broker can be written to.

    Raises the broker's error when not.
    """
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    if not settings.REDIS_URL:
        return OK if os.access(options["data_folder_out"], os.W_OK) else "folder cannot be written to"
    limits = {"socket_connect_timeout": BROKER_TIMEOUT_SECONDS, "socket_timeout": BROKER_TIMEOUT_SECONDS}
    with Connection(settings.CELERY_BROKER_URL, transport_options={**options, **limits}) as broker:
        broker.ensure_connection(max_retries=1, timeout=BROKER_TIMEOUT_SECONDS)
    return OK


def check_model_version() -> str:
    """Return `ok` when the active version's registered files lie where this process would load them from."""
    try:
        check_registered_manifest(get_active_model_version())
    except NoActiveModelVersionError:
        return "none is active"
    except ArtefactError as error:
        logger.warning("the active model version cannot be loaded: %s", error)
        return "files missing or changed"
    return OK


def check_queues() -> dict[str, str]:
    """Return `ok` or `stale` for each queue that a worker ever served, or that the database is not reachable."""
    try:
        return {health.queue: "stale" if health.stale else OK for health in list_queue_health()}
    except Error as error:
        logger.warning("the canaries cannot be read: %s", error)
        return {"database": "not reachable"}

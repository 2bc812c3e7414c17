"""Somebody else who works on the database at the same time."""

import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import connection


class Other(threading.Thread):
    """Somebody else's work on a connection of their own; `outcome` is what came of it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.work, self.outcome = work, None

    def run(self) -> None:
        try:
            self.outcome = self.work()
        except Exception as error:
            self.outcome = error
        finally:
            connection.close()

    def start_and_wait_for_lock(self) -> None:
        """Start, and return when the work waits for a lock that we hold; it must not end before."""
        self.start()
        with connection.cursor() as cursor:
            while self.is_alive():
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute("SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))")
                if cursor.fetchone() is not None:
                    return
                time.sleep(0.01)
        raise AssertionError(f"expected work that waits, it ended with {self.outcome!r}")

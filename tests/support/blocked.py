"""What runs beside a transaction of PostgreSQL and waits for its locks."""

import threading
from collections.abc import Callable

from django.db import connection

WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


def run_until_blocked(do: Callable[[], object]) -> Callable[[], list[Exception]]:
    """Do it in a thread, and return once it waits for a lock of this transaction; fails where it ends without.

    What is returned is to be called behind the transaction: it waits for the thread, and says what that raised.
    """
    has_ended, problems = threading.Event(), list[Exception]()

    def work() -> None:
        try:
            do()
        except Exception as error:
            problems.append(error)
        finally:
            connection.close()
            has_ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    with connection.cursor() as cursor:
        while True:
            cursor.execute(WAITING)
            if cursor.fetchone() == (1,):
                break
            assert not has_ended.wait(0.05), problems

    def end() -> list[Exception]:
        thread.join()
        return problems

    return end

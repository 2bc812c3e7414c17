"""What readers notice while strangers knock: slow bodies, slow headers and wrong passwords, all at once.

    python -m benchmarks.doors [--callers N] [--seconds N] [--readers N] [--addresses N] [--json]

The site is asked by readers while nothing else goes on; while so many callers of each kind are at Gunicorn's own door;
and while they are at the door of nginx, as docs/nginx.conf has it. Callers come from as many addresses of loopback as
told, and knock again a second after they were answered. A page that did not come within ten seconds counts as ten.
"""

import argparse
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from statistics import median, quantiles
from typing import Any, Final

from benchmarks.catalogue_site import running_database
from benchmarks.machine import describe_machine, machine_lines
from tests.support.front import HOST, Door, find_missing_program, running_front, running_site

GIVE_UP_SECONDS: Final = 10.0
_FIRST_PAGES: Final = 20
_PRODUCTS: Final = 200
_PAGE: Final = "/products/"
_SIGN_IN: Final = "/admin/login/"
_TOKEN: Final = "a" * 32


def read_pages(door: Door, *, readers: int, seconds: float) -> list[float]:
    """Return how long each page took that so many readers asked for, one after the other, in seconds."""
    until, taken = time.monotonic() + seconds, []

    def read() -> None:
        while time.monotonic() < until:
            started = time.perf_counter()
            try:
                with door.connect(timeout=GIVE_UP_SECONDS) as connection:
                    connection.sendall(f"GET {_PAGE} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
                    answer = b"".join(iter(lambda: connection.recv(65_536), b""))
                passed = time.perf_counter() - started
                taken.append(passed if answer.startswith(b"HTTP/1.1 200 ") else GIVE_UP_SECONDS)
            except OSError:
                taken.append(GIVE_UP_SECONDS)
            time.sleep(0.2)

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def knock(door: Door, *, callers: int, addresses: int) -> None:
    """Be so many callers of each kind, until this process is ended."""
    for kind in (send_slow_body, send_slow_headers, send_passwords):
        for number in range(callers):
            threading.Thread(target=call_for_ever, args=(kind, door, f"127.1.0.{1 + number % addresses}")).start()


def call_for_ever(kind: Any, door: Door, source: str) -> None:
    """Call again a second after the call ended, however it ended."""
    while True:
        with suppress(OSError), door.connect(source=source, timeout=30) as connection:
            kind(connection)
        time.sleep(1)


def send_slow_body(connection: socket.socket) -> None:
    """Send a byte of a form every two seconds."""
    connection.sendall(f"POST {_SIGN_IN} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 9000\r\n".encode())
    connection.sendall(
        f"Content-Type: application/x-www-form-urlencoded\r\nCookie: csrftoken={_TOKEN}\r\n\r\n".encode()
    )
    _trickle(connection)


def send_slow_headers(connection: socket.socket) -> None:
    """Send a byte of a header every two seconds."""
    connection.sendall(f"GET {_PAGE} HTTP/1.1\r\nHost: {HOST}\r\nX-Slow: ".encode())
    _trickle(connection)


def _trickle(connection: socket.socket) -> None:
    for _ in range(9000):
        connection.sendall(b"a")
        time.sleep(2)


def send_passwords(connection: socket.socket) -> None:
    """Send a wrong password for a name that nobody tried yet, and wait for the answer."""
    body = f"csrfmiddlewaretoken={_TOKEN}&username=user-{time.monotonic_ns()}&password=wrong"
    head = (
        f"POST {_SIGN_IN} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\nCookie: csrftoken={_TOKEN}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nReferer: https://{HOST}/\r\nConnection: close\r\n\r\n"
    )
    connection.sendall((head + body).encode())
    while connection.recv(65_536):
        pass


def build_row(name: str, taken: Sequence[float]) -> dict[str, Any]:
    """Return one line of the result, from the seconds that pages took."""
    return {
        "name": name,
        "pages": len(taken),
        "median_milliseconds": 1000 * median(taken),
        "p95_milliseconds": 1000 * quantiles(taken, n=20, method="inclusive")[-1],
        "longest_milliseconds": 1000 * max(taken),
        "given_up": sum(seconds >= GIVE_UP_SECONDS for seconds in taken),
    }


def print_result(result: dict[str, Any]) -> None:
    """Print how long readers waited in each of the three."""
    sys.stdout.write(f"{'readers':<34} {'pages':>6} {'median':>9} {'p95':>9} {'longest':>9} {'no answer':>10}\n")
    for row in result["rows"]:
        times = (row[f"{name}_milliseconds"] for name in ("median", "p95", "longest"))
        columns = " ".join(f"{milliseconds:6.0f} ms" for milliseconds in times)
        sys.stdout.write(f"{row['name']:<34} {row['pages']:>6} {columns} {row['given_up']:>10}\n")
    sys.stdout.write("".join(f"{line}\n" for line in machine_lines(result["machine"])))


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=64, metavar="N", help="of each of the three kinds")
    parser.add_argument("--addresses", type=int, default=64, metavar="N", help="that they come from, 254 at most")
    parser.add_argument("--readers", type=int, default=4, metavar="N")
    parser.add_argument("--seconds", type=float, default=30, metavar="N", help="that each of the three takes")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    arguments = parser.parse_args()
    if missing := find_missing_program():
        parser.exit(1, f"Expected the program {missing}, found none; on Debian: apt-get install nginx-light openssl\n")
    machine = describe_machine(("django", "gunicorn", "psycopg2-binary"))
    # However it is ended, its servers are stopped.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    rows = []
    with ExitStack() as stack:
        folder = stack.enter_context(running_database())
        _create_products()
        site = stack.enter_context(running_site(folder, environment={**os.environ, "NUM_PROXIES": "1"}))
        front = stack.enter_context(running_front(folder, site=site))
        for _ in range(_FIRST_PAGES):  # what each process loads once
            front.ask(f"GET {_PAGE} HTTP/1.1")
        kinds = (
            ("nobody else", front, False),
            ("callers at Gunicorn", site, True),
            ("callers at the front", front, True),
        )
        for name, door, knocked in kinds:
            callers = multiprocessing.get_context("spawn").Process(
                target=knock, args=(door,), kwargs={"callers": arguments.callers, "addresses": arguments.addresses}
            )
            if knocked:
                callers.start()
                time.sleep(3)  # until all of them are there
            rows.append(build_row(name, read_pages(door, readers=arguments.readers, seconds=arguments.seconds)))
            if knocked:
                callers.kill()
                callers.join()
                time.sleep(GIVE_UP_SECONDS)  # what they left behind ends
    result = {"machine": machine, "callers": arguments.callers, "addresses": arguments.addresses, "rows": rows}
    if arguments.json:
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        print_result(result)
    return 0


def _create_products() -> None:
    # Django is set up by now.
    from catalog.models import Product

    Product.objects.bulk_create(Product(title=f"Linen shirt {number}") for number in range(_PRODUCTS))


if __name__ == "__main__":
    sys.exit(main())

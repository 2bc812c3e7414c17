"""Calls of the API with a body of JSON."""

import threading
from typing import Any

from django.db import connection
from django.http import HttpResponse
from django.test import Client

JSON = "application/json"


def post(client: Client, address: str, data: Any = None, **headers: str) -> HttpResponse:
    """Send a JSON body; in the names of headers underscores stand for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(address, {} if data is None else data, content_type=JSON, headers=named)


def post_together(requests: list[tuple[str, dict[str, str]]]) -> list[int]:
    """Send each request (address, headers) from a thread of its own, all at once; return the statuses, sorted."""
    barrier, answers = threading.Barrier(len(requests)), []

    def call(address: str, headers: dict[str, str]) -> None:
        try:
            barrier.wait(timeout=30)
            answers.append(Client().post(address, {}, content_type=JSON, headers=headers).status_code)
        finally:
            connection.close()

    threads = [threading.Thread(target=call, args=request) for request in requests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    return sorted(answers)

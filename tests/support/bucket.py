"""A bucket that speaks S3, in this process, which a test takes away and brings back."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from unittest.mock import patch

import boto3
from botocore.session import create_loader
from django.core.files.storage import storages
from moto.server import ThreadedMotoServer

from config.bucket import Bucket, build_bucket_storages
from tests.support.ports import find_port

NAME, PREFIX = "bucket", "shop"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


@dataclass
class BucketServer:
    """The server; what is in the bucket stays while it is away."""

    port: int
    server: ThreadedMotoServer | None = None

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The value of STORAGE_URL."""
        return f"s3://{NAME}/{PREFIX}?endpoint_url={self.endpoint}"

    @cached_property
    def client(self) -> Any:
        """A client of the test's own."""
        return boto3.client("s3", endpoint_url=self.endpoint)

    def start(self) -> None:
        """Answer."""
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self.server.start()

    def stop(self) -> None:
        """Refuse every connection, and end those that are there."""
        if self.server is not None:
            self.server.stop()
            self.server._server.server_close()
        self.server = None
        self.client.close()
        for storage in storages._storages.values():
            if isinstance(storage, Bucket):
                storage.connection.meta.client.close()

    def list_keys(self) -> list[str]:
        """Return the names of all objects, without the prefix."""
        found = self.client.list_objects_v2(Bucket=NAME).get("Contents", [])
        return sorted(entry["Key"].removeprefix(f"{PREFIX}/") for entry in found)

    def empty(self) -> None:
        """Remove all objects."""
        for key in self.list_keys():
            self.client.delete_object(Bucket=NAME, Key=f"{PREFIX}/{key}")

    def build_storages(self, storages: dict[str, Any]) -> dict[str, Any]:
        """Return the setting STORAGES with the bucket in place of folders."""
        return storages | build_bucket_storages(self.url)


@contextmanager
def running_bucket() -> Iterator[BucketServer]:
    """Run a server with an empty bucket, and let this process have the keys, while the block runs."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = BucketServer(find_port())
    # What S3 is, megabytes of JSON, is read once.
    loader = patch("botocore.session.create_loader", cache(create_loader))
    with patch.dict(os.environ, KEYS), loader:
        server.start()
        # All servers of a process have the same buckets.
        server.client.create_bucket(Bucket=NAME)
        server.empty()
        try:
            yield server
        finally:
            server.stop()

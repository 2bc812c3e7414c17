"""A bucket that speaks the protocol of S3, in which all machines of an installation keep their files.

Imported where a setting names it, so that an installation without a bucket needs none of it.
"""

import os
import threading
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.config import Config
from botocore.exceptions import ClientError
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import File
from storages.backends.s3 import S3Storage
from storages.utils import clean_name

#: What lies in the bucket, by the name of its storage in the settings: each below a folder of its own.
FOLDERS: Final = {"default": "media", "outputs": "outputs", "artefacts": "artefacts", "imports": "imports"}
_OPTIONS: Final = ("endpoint_url", "region_name", "addressing_style")
_CONNECT_SECONDS, _READ_SECONDS, _TRIES = 3, 10, 2


def build_bucket_storages(url: str, *, also_set: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the storages that lie in the bucket which the URL names, for Django's setting STORAGES.

    The URL is `s3://bucket/prefix?endpoint_url=...&region_name=...&addressing_style=...`; whatever follows the name is
    optional. `also_set` are other settings that say where files lie. Raises `ImproperlyConfigured`.
    """
    if also_set:
        raise ImproperlyConfigured(f"expected STORAGE_URL alone, or without it {' or '.join(also_set)}; received both")
    parts = urlsplit(url)
    expected = f"STORAGE_URL: expected s3://bucket/prefix?{'=...&'.join(_OPTIONS)}=..."
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.fragment:
        # The URL itself is not repeated: somebody may have put a key into it.
        raise ImproperlyConfigured(f"{expected}, with the keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := options.keys() - {*_OPTIONS}:
        raise ImproperlyConfigured(f"{expected}, received {', '.join(sorted(unknown))}")
    prefix = unquote(parts.path).strip("/")
    return {
        name: {
            "BACKEND": "config.bucket.Bucket",
            "OPTIONS": {
                "bucket_name": parts.netloc,
                "location": f"{prefix}/{folder}".lstrip("/"),
                # Of an upload that waits for its import there is one, and whoever claims it first has it.
                "file_overwrite": name != "imports",
                **options,
            },
        }
        for name, folder in FOLDERS.items()
    }


class ObjectFile(File):
    """An object's bytes as they arrive, once from beginning to end."""

    def __init__(self, body: Any, *, name: str, size: int) -> None:
        super().__init__(body, name=name)
        self.mode, self.size = "rb", size

    def close(self) -> None:
        """Give the connection back, or close it where not all was read."""
        if self.file is not None:
            self.file.close()


class Bucket(S3Storage):
    """A folder of a bucket.

    Its connections belong to one process: a socket that a fork inherits would be read by two. What is read comes in one
    request, which says its size. Without `file_overwrite` a file that has the name already stays, and
    `FileExistsError` says so.
    """

    def __init__(self, **options: Any) -> None:
        style = {"s3": {"addressing_style": options.get("addressing_style") or "auto"}}
        super().__init__(
            client_config=Config(
                connect_timeout=_CONNECT_SECONDS,
                read_timeout=_READ_SECONDS,
                retries={"total_max_attempts": _TRIES, "mode": "standard"},
                # Not every store that speaks S3 knows the newer checksums; what is read is compared with its own hash.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                **style,
            ),
            **options,
        )
        self._process = os.getpid()

    @property
    def connection(self) -> Any:
        """The connection of this thread of this process."""
        if self._process != os.getpid():
            self._process, self._connections = os.getpid(), threading.local()
        return super().connection

    @property
    def bucket(self) -> Any:
        """The bucket, by this thread's connection."""
        return self.connection.Bucket(self.bucket_name)

    def _open(self, name: str, mode: str = "rb") -> File:
        if mode != "rb":
            return super()._open(name, mode)
        try:
            answer = self.connection.meta.client.get_object(Bucket=self.bucket_name, Key=self._build_key(name))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(f"the bucket has no object {name}") from error
            raise
        return ObjectFile(answer["Body"], name=name, size=answer["ContentLength"])

    def _save(self, name: str, content: File) -> str:
        if self.file_overwrite:
            return super()._save(name, content)
        try:
            self.connection.meta.client.put_object(
                Bucket=self.bucket_name, Key=self._build_key(name), Body=content, IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (409, 412):
                raise FileExistsError(f"the bucket has an object {name}") from error
            raise
        return clean_name(name)

    def _build_key(self, name: str) -> str:
        return self._normalize_name(clean_name(name))

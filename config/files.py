"""Every file that the product writes is written here: under a hidden name beside its own, then put in place at once.

Who reads finds what was there before or all of the new, and a failure leaves nothing behind. Imports nothing of the
project, so that `classifier.ml` may use it as well.
"""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def new_file(path: Path, *, mode: int = 0o644, durable: bool = False, replace: bool = True) -> Iterator[IO[bytes]]:
    """Give a file that takes the name `path` when the block ends without an error.

    `mode` is narrowed by the process's umask. A `durable` file is there after a power failure too. Without `replace` a
    file that has the name already stays, and `FileExistsError` says so. Raises `OSError`.
    """
    temporary = _build_temporary_path(path)
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            yield file
        if durable:
            _flush(temporary)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
        if durable:
            _flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_file(path: Path, content: bytes, *, mode: int = 0o644, durable: bool = False, replace: bool = True) -> None:
    """Put the content under the name `path`; the arguments and errors are those of `new_file`."""
    with new_file(path, mode=mode, durable=durable, replace=replace) as file:
        file.write(content)


@contextmanager
def new_folder(path: Path, *, durable: bool = False, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder that takes the name `path` when the block ends without an error.

    A folder that has the name already must be empty, else `OSError`; with `replace` it is moved out of the way first,
    and for that moment there is none. `durable` holds for every file in it, however that was written.
    """
    temporary = _build_temporary_path(path)
    try:
        temporary.mkdir()
        yield temporary
        if durable:
            for written in (*temporary.rglob("*"), temporary):
                _flush(written)
        if replace and path.exists():
            replaced = path.rename(_build_temporary_path(path))
            temporary.replace(path)
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            temporary.replace(path)
        if durable:
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _build_temporary_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def _flush(path: Path) -> None:
    """Wait until the file's content, or the folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

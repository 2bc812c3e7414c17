"""How files that somebody names are opened, and how files are written: hidden beside their name, then put in place.

Who reads finds what was there before or all of the new, and a failure leaves nothing behind. Imports nothing of the
project, so that `classifier.ml` may use it as well.
"""

import errno
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

#: What has such a name is being written, or was when a process was killed.
UNFINISHED: Final = re.compile(r"\..+\.[0-9a-f]{16}\.part")


class SpecialFileError(OSError):
    """What has the name is no file: nobody may ever write into a pipe, and a device may have no end."""


def open_file(path: Path | str, *, follow_links: bool = True) -> io.BufferedReader:
    """Open a file to read its bytes, without waiting for anybody.

    Raises `SpecialFileError` for a pipe, a socket or a device, and any other `OSError`, for a folder and, without
    `follow_links`, for a link as well.
    """
    special = _build_special_error(path)
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow_links else os.O_NOFOLLOW)
    try:
        file = open(path, "rb", opener=lambda name, _: os.open(name, flags))  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise special if error.errno == errno.ENXIO else error from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise special


@contextmanager
def new_file(path: Path, *, mode: int = 0o644, durable: bool = False, replace: bool = True) -> Iterator[IO[bytes]]:
    """Give a file that takes the name `path` when the block ends without an error.

    `mode` is narrowed by the process's umask. A `durable` file is there after a power failure too. Without `replace` a
    file that has the name already stays, and `FileExistsError` says so. Raises `SpecialFileError` for the name of a
    pipe, a socket or a device, which would give way to the file, and `OSError`.
    """
    if _is_special(path):
        raise _build_special_error(path)
    temporary = build_temporary_path(path)
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
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
def new_folder(path: Path, *, mode: int = 0o777, durable: bool = False, replace: bool = False) -> Iterator[Path]:
    """Give an empty folder that takes the name `path` when the block ends without an error.

    `mode` is narrowed by the process's umask. A folder that has the name already must be empty, else `OSError`; with
    `replace` it is moved out of the way first, and for that moment there is none. `durable` holds for every file in it,
    however that was written.
    """
    temporary = build_temporary_path(path)
    try:
        temporary.mkdir(mode)
        yield temporary
        if durable:
            for written in (*temporary.rglob("*"), temporary):
                _flush(written)
        if replace and path.is_dir():
            replaced = path.rename(build_temporary_path(path))
            temporary.replace(path)
            shutil.rmtree(replaced, ignore_errors=True)
        else:
            temporary.replace(path)
        if durable:
            _flush(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _build_special_error(path: Path | str) -> SpecialFileError:
    return SpecialFileError(errno.EINVAL, "expected a file, received a pipe, a socket or a device", str(path))


def _is_special(path: Path) -> bool:
    """Whether the name is that of neither a file nor a folder, or leads into the kernel, as /dev/stdout does."""
    try:
        mode = path.stat().st_mode
        leads_away = path.is_symlink() and path.readlink().is_relative_to("/proc")
    except OSError:
        return False
    return leads_away or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def build_temporary_path(path: Path) -> Path:
    """Return a hidden name beside this one for what is not complete, or on its way out; `UNFINISHED` matches it."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")


def _flush(path: Path) -> None:
    """Wait until the file's content, or the folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

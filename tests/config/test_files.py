"""Files and folders that appear whole or not at all, and files that are opened without waiting for anybody."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config import files
from config.files import SpecialFileError, new_file, new_folder, open_file, write_file


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_takes_the_place_of_the_one_before(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "name"
    path.write_bytes(b"before")
    with new_file(path, durable=durable) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "name"
    path.write_bytes(b"before")

    def stop_half_way() -> None:
        with new_file(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_half_way()
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_not_to_be_replaced_stays(tmp_path: Path) -> None:
    write_file(tmp_path / "key", b"first", mode=0o600, replace=False)
    with pytest.raises(FileExistsError):
        write_file(tmp_path / "key", b"second", mode=0o600, replace=False)
    assert (tmp_path / "key").read_bytes() == b"first"
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_appears_with_everything_in_it(tmp_path: Path) -> None:
    path = tmp_path / "name"
    with new_folder(path, durable=True) as folder:
        (folder / "below").mkdir()
        (folder / "below" / "file").write_bytes(b"content")
        assert not path.exists()
    assert (path / "below" / "file").read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_with_files_is_replaced_only_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "name"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(OSError, match="not empty"), new_folder(path):
        pass
    assert [file.name for file in path.iterdir()] == ["old"]
    with new_folder(path, replace=True) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_fails_half_way_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "name"
    path.mkdir()
    (path / "old").touch()

    def refuse(_descriptor: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="no space left"), new_folder(path, durable=True, replace=True) as folder:
        (folder / "new").touch()
    assert [file.name for file in path.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for path in (tmp_path / "pipe", tmp_path / "socket", Path("/dev/zero")):
            with pytest.raises(SpecialFileError, match="expected a file, received a pipe, a socket or a device"):
                open_file(path)
    with pytest.raises(IsADirectoryError):
        open_file(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_file(tmp_path / "gone")


def test_no_file_takes_the_place_of_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        before = {path: path.lstat() for path in tmp_path.iterdir()}
        for path in before:
            with pytest.raises(SpecialFileError, match="expected a file, received a pipe, a socket or a device"):
                write_file(path, b"content")
        assert {path: path.lstat() for path in tmp_path.iterdir()} == before


def test_no_folder_takes_the_place_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"content")
    with pytest.raises(NotADirectoryError), new_folder(tmp_path / "name", replace=True):
        pass
    assert (tmp_path / "name").read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [tmp_path / "name"]


def test_a_link_is_followed_unless_that_is_forbidden(tmp_path: Path) -> None:
    (tmp_path / "name").write_bytes(b"content")
    (tmp_path / "link").symlink_to("name")
    with open_file(str(tmp_path / "link")) as file:
        assert file.read() == b"content"
    with pytest.raises(OSError, match="symbolic link"):
        open_file(tmp_path / "link", follow_links=False)


def test_the_writer_brings_neither_django_nor_celery() -> None:
    """What trains networks uses it too."""
    code = f"import sys, {files.__name__}; print({{'celery', 'django'}} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"

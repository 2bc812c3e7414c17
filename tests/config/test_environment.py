"""Settings in files, values of examples, and a folder of any name."""

import runpy
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.environment import SAMPLE, Environment, _Variables
from config.settings import base


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch):
    def read(name: str, **variables: str) -> str:
        monkeypatch.setattr(Environment, "ENVIRON", _Variables(variables))
        return Environment().str(name, default="")

    return read


def test_a_value_may_stand_in_a_file(read, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("of the file\n")
    assert read("KEY", KEY="of the variable", KEY_FILE=str(tmp_path / "key")) == "of the file"
    assert read("KEY", KEY="of the variable") == "of the variable"
    assert read("KEY") == ""


def test_a_file_that_is_not_there_is_named_with_its_variable(read, tmp_path: Path) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"KEY_FILE: expected a file .* got {tmp_path}/key: No such file"):
        read("KEY", KEY_FILE=str(tmp_path / "key"))


@pytest.mark.parametrize("value", ["change-me", "postgres://catalogue:CHANGE-ME@database/catalogue"])
def test_a_sample_is_refused_and_not_repeated(read, tmp_path: Path, value: str) -> None:
    (tmp_path / "key").write_text(value)
    for variables in ({"KEY": value}, {"KEY_FILE": str(tmp_path / "key")}):
        with pytest.raises(ImproperlyConfigured) as refused:
            read("KEY", **variables)
        assert str(refused.value) == f"KEY: expected a value of your own, got that of an example ({SAMPLE})"


def test_the_database_lies_in_the_folder_whatever_that_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "site #1? of 100%25"
    monkeypatch.setenv("VAR_DIR", str(folder))
    monkeypatch.setenv("DATABASE_URL", "")
    settings = runpy.run_path(base.__file__)
    assert settings["DATABASES"]["default"]["NAME"] == str(folder / "db.sqlite3")
    assert settings["APPROVALS"] == "one"

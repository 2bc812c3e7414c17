"""`make release`, in a repository of the test's own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from config import VERSION

REPOSITORY = Path(__file__).resolve().parents[2]
CHANGES = "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n- New.\n\n## [1.2.2] - 2026-11-01\n\n- Old.\n"


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    # No settings of whoever runs the tests.
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def release(folder: Path, *options: str, tests: str = "true") -> subprocess.CompletedProcess[str]:
    # By its path: in that folder there is another package of this name.
    return run(folder, sys.executable, str(REPOSITORY / "config/release.py"), "--tests", tests, *options)


def commit(folder: Path) -> None:
    run(folder, "git", "add", "--all")
    assert run(folder, "git", "commit", "--quiet", "--message", "State").returncode == 0


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    folder, key = tmp_path / "repository", tmp_path / "key"
    (folder / "config").mkdir(parents=True)
    (folder / "config/__init__.py").write_text('"""The ground."""\n\nVERSION = "1.2.3"\n')
    (folder / "CHANGELOG.md").write_text(CHANGES)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "allowed").write_text(f"ann@shop.example {key.with_suffix('.pub').read_text()}")
    run(folder, "git", "init", "--quiet")
    for name, value in {
        "user.name": "Ann",
        "user.email": "ann@shop.example",
        "gpg.format": "ssh",
        "user.signingkey": str(key),
        "gpg.ssh.allowedSignersFile": str(tmp_path / "allowed"),
    }.items():
        run(folder, "git", "config", name, value)
    commit(folder)
    return folder


def test_a_release_is_a_signed_tag_with_what_is_new(repository: Path) -> None:
    tried = release(repository, "--dry-run")
    assert (tried.returncode, tried.stderr) == (0, "")
    assert "can be released as v1.2.3. Nothing was done." in tried.stdout
    assert run(repository, "git", "tag").stdout == ""
    done = release(repository)
    assert done.returncode == 0, done.stderr
    assert "is v1.2.3. Publish it: git push origin v1.2.3" in done.stdout
    verified = run(repository, "git", "verify-tag", "v1.2.3")
    assert verified.returncode == 0, verified.stderr
    assert 'Good "git" signature for ann@shop.example' in verified.stderr
    message = run(repository, "git", "tag", "--list", "--format=%(contents:subject)|%(contents:body)").stdout
    assert message.startswith("Version 1.2.3|- New.\n")
    assert "Old." not in message
    again = release(repository)
    assert (again.returncode, again.stderr) == (1, "expected a new version, there is a tag v1.2.3 already\n")


def test_what_is_not_ready_is_not_released(repository: Path) -> None:
    def refuse(why: str, *, tests: str = "true") -> None:
        refused = release(repository, tests=tests)
        assert refused.returncode == 1
        assert why in refused.stderr
        assert run(repository, "git", "tag").stdout == ""

    refuse("expected the tests of", tests="false")
    refuse("the tree to stay as it was", tests="touch left-by-a-test")
    refuse("expected a clean tree, received changes:\n?? left-by-a-test")
    (repository / "left-by-a-test").unlink()
    run(repository, "git", "config", "--unset", "user.signingkey")
    refuse("expected a key to sign with in git's user.signingkey, there is none")
    run(repository, "git", "config", "user.signingkey", "/nowhere")
    refuse("git tag: ")
    (repository / "CHANGELOG.md").write_text(CHANGES.replace("[1.2.3]", "[1.2.4]"))
    commit(repository)
    refuse("'## [1.2.3] - YYYY-MM-DD' with what is new below it, received [Unreleased], [1.2.4] - 2026-12-01")
    (repository / "config/__init__.py").write_text('VERSION = "1.2.3-dev"\n')
    commit(repository)
    refuse("config/__init__.py: expected a VERSION such as 1.2.3, received '1.2.3-dev'")


def test_the_version_is_written_once() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(-dev)?", VERSION)
    said = subprocess.run([sys.executable, "manage.py", "version"], cwd=REPOSITORY, capture_output=True, text=True)
    assert said.stdout.startswith(f"{VERSION} (Django 5.")

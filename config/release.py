"""Make a release of the commit that is checked out: a signed tag, once everything is as it must be.

    python -m config.release [--dry-run] [--tests COMMAND]

The version stands in config/__init__.py, what is new in CHANGELOG.md below a heading with the version and a day.
`make release` runs it. Git signs as it is told to: `git config gpg.format ssh`, `git config user.signingkey FILE`.
"""

import argparse
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(r'^VERSION = "(.*)"$', re.MULTILINE)
_RELEASED: Final = re.compile(r"\d+\.\d+\.\d+")


class ReleaseError(Exception):
    """The commit cannot be released; the message says what was expected and what came."""


def git(*arguments: str) -> str:
    """Return what git says; raise `ReleaseError` with its words."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def read_version(folder: Path) -> str:
    """Return the version of the tree in the folder. Raises `ReleaseError` unless it is one to be released."""
    found = _VERSION.search((folder / "config/__init__.py").read_text())
    version = found[1] if found else ""
    if not _RELEASED.fullmatch(version):
        raise ReleaseError(f"config/__init__.py: expected a VERSION such as 1.2.3, received {version!r}")
    return version


def read_changes(folder: Path, *, version: str) -> str:
    """Return what CHANGELOG.md says of the version. Raises `ReleaseError` if that is nothing."""
    text = (folder / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL
    )
    if found is None or not found[1].strip():
        raise ReleaseError(
            f"CHANGELOG.md: expected a heading '## [{version}] - YYYY-MM-DD' with what is new below it, "
            f"received {', '.join(headings[:3]) or 'none'}"
        )
    return found[1].strip()


def release(*, dry_run: bool, tests: str) -> str:
    """Check the commit, run the tests, make the tag, and return what was done. Raises `ReleaseError`."""
    folder = Path(git("rev-parse", "--show-toplevel"))
    if changed := git("status", "--porcelain"):
        raise ReleaseError(f"expected a clean tree, received changes:\n{changed}")
    version = read_version(folder)
    changes = read_changes(folder, version=version)
    tag = f"v{version}"
    if git("tag", "--list", tag):
        raise ReleaseError(f"expected a new version, there is a tag {tag} already")
    try:
        git("config", "user.signingkey")
    except ReleaseError as error:
        raise ReleaseError("expected a key to sign with in git's user.signingkey, there is none") from error
    commit = git("rev-parse", "HEAD")
    if subprocess.run(shlex.split(tests), cwd=folder, check=False).returncode:
        raise ReleaseError(f"expected the tests of {commit[:12]} to pass, `{tests}` failed")
    if git("rev-parse", "HEAD") != commit or git("status", "--porcelain"):
        raise ReleaseError("expected the tree to stay as it was while the tests ran, it changed")
    if dry_run:
        return f"{commit[:12]} can be released as {tag}. Nothing was done."
    git("tag", "--sign", tag, "--message", f"Version {version}\n\n{changes}\n", "--cleanup=verbatim")
    if "\n-----BEGIN " not in git("cat-file", "tag", tag):
        # Some versions of git pass over a key that they cannot read.
        git("tag", "--delete", tag)
        raise ReleaseError(
            "git tag: expected a signature by the key in user.signingkey, there is none; can it be read?"
        )
    return f"{commit[:12]} is {tag}. Publish it: git push origin {tag}"


def main() -> int:
    """Release, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m config.release", description=__doc__.partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="check everything and make no tag")
    parser.add_argument("--tests", default="make lint test", metavar="COMMAND", help="what must pass (%(default)s)")
    options = parser.parse_args()
    try:
        sys.stdout.write(release(dry_run=options.dry_run, tests=options.tests) + "\n")
    except ReleaseError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

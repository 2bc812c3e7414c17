"""What tests of more than one commit share."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.site.old_code import BASE, checked_out
from tests.support.forks import forking
from tests.support.servers import REPOSITORY


@pytest.fixture(scope="session")
def earlier_tree() -> Iterator[Path]:
    """Give the files of the earlier commit, whose programs are forked."""
    if subprocess.run(["git", "cat-file", "-e", BASE], cwd=REPOSITORY, capture_output=True, check=False).returncode:
        pytest.skip(f"needs the history of the repository: commit {BASE}")
    with checked_out(BASE) as tree, forking(tree):
        yield tree

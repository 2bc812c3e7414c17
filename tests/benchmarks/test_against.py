"""The comparison with another commit, on a small repository whose benchmark prints what it is told to."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks import against, against_figures, against_runs, machine

REPOSITORY = Path(__file__).resolve().parents[2]

#: It writes its side into the journal, so that each run knows how many came before it.
BENCHMARK = '''
"""A benchmark.

    python -m benchmarks.fake [--journal FILE] [--wait] [--json]
"""
import argparse, json, os, sys, time
from pathlib import Path
SIDE, SECONDS, MORE, STATUS, JSON = {side!r}, {seconds!r}, {more!r}, {status!r}, {json!r}
parser = argparse.ArgumentParser()
parser.add_argument("--journal", type=Path)
parser.add_argument("--wait", action="store_true")
if JSON:
    parser.add_argument("--json", action="store_true")
options = parser.parse_args()
past = options.journal.read_text()
try:
    options.journal.write_text(past + SIDE)
    if options.wait:
        time.sleep(60)
except KeyboardInterrupt:
    options.journal.write_text("ended in order")
    raise
if STATUS:
    print("nothing is well", file=sys.stderr)
    sys.exit(STATUS)
figures = {{
    "machine": {{"cores": 9}}, "label": "a text", "well": True, "var": len(list(Path(os.environ["VAR_DIR"]).iterdir())),
    "database": int("DATABASE_URL" in os.environ), "rates": [{{"name": "all", "seconds": SECONDS[past.count(SIDE)]}}],
}}
Path(os.environ["VAR_DIR"], "left").touch()
print("a library's notice")
print(json.dumps(figures | MORE) if JSON else f"mapped files  {{SECONDS[0]:,.1f}} ms, at best 1.0 ms")
'''


class Product:
    """A repository with a commit, and a working tree that has changed since."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.journal = folder / "product", folder / "journal"
        (self.folder / "benchmarks").mkdir(parents=True)
        (self.folder / "benchmarks" / "__init__.py").touch()
        self.journal.touch()
        self.git("init", "--quiet")

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ["git", *identity, *arguments], cwd=self.folder, capture_output=True, text=True, check=True
        ).stdout

    def write(self, side: str, *seconds: float, more: dict[str, Any] | None = None, **others: Any) -> None:
        given = {"status": 0, "json": True, **others}
        text = BENCHMARK.format(side=side, seconds=seconds, more=more or {}, **given)
        (self.folder / "benchmarks" / "fake.py").write_text(text)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "--message", "A commit")

    @property
    def options(self) -> tuple[str, ...]:
        return ("--", "--journal", str(self.journal))

    def compare(self, *arguments: str) -> int:
        try:
            return against.main([*arguments, *self.options], repository=self.folder)
        except SystemExit as error:
            return int(error.code or 0)

    def assert_nothing_is_left(self) -> None:
        assert len(self.git("worktree", "list").splitlines()) == 1
        assert list((self.folder.parent / "temporary").iterdir()) == []


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Product:
    monkeypatch.setattr(machine, "_WATCH_SECONDS", 0.01)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/")
    return Product(tmp_path)


def test_the_medians_of_both_sides_stand_side_by_side(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    product.write("T", 2.0, 9.0, 4.0, more={"gone": 5})
    product.commit()
    product.write("O", 3.0, 1.0, 2.0, more={"new": 7})
    assert product.compare("HEAD", "fake", "--json") == 0
    product.assert_nothing_is_left()
    assert product.journal.read_text() == "TOOTTO"
    output = capsys.readouterr()
    result = json.loads(output.out)
    figures = {figure.pop("name"): figure for figure in result["figures"]}
    assert figures["rates.all.seconds"] == {
        "theirs": 4.0,
        "ours": 2.0,
        "ratio": 0.5,
        "theirs_runs": [2.0, 9.0, 4.0],
        "ours_runs": [3.0, 1.0, 2.0],
    }
    assert (figures["gone"]["theirs"], figures["gone"]["ours"], figures["gone"]["ratio"]) == (5, None, None)
    assert (figures["new"]["theirs"], figures["new"]["ours"], figures["new"]["ratio"]) == (None, 7, None)
    # A run sees neither our settings nor what another run left; texts, truths and the machine are no figures.
    assert figures["database"]["theirs_runs"] == figures["var"]["ours_runs"] == [0, 0, 0]
    assert list(figures) == ["var", "database", "rates.all.seconds", "new", "gone"]
    assert (result["theirs"]["changed"], result["ours"]["changed"]) == (False, True)
    assert [run["side"] for run in result["runs"]] == ["theirs", "ours", "ours", "theirs", "theirs", "ours"]
    assert len(output.err.splitlines()) == 6
    assert output.err.startswith("run 1 of 6  theirs (")


def test_people_see_a_dash_for_what_one_side_lacks(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    product.write("T", 4.0, more={"gone": 5, "goal": 2, "floor": 3})
    product.commit()
    product.write("O", 1.0, more={"goal": 1, "floor": 3})
    assert product.compare("HEAD", "fake", "--runs", "1") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "rates.all.seconds 4 1 0.250 4 to 4 1 to 1" in lines
    assert "gone 5 - - 5 to 5 -" in lines
    assert "goal 2 1 0.500 2 to 2 1 to 1" in lines
    assert "The same in every run: var 0; database 0" in lines


def test_a_benchmark_without_json_is_read_from_its_lines(product: Product, capsys: pytest.CaptureFixture[str]) -> None:
    product.write("T", 2000.0, json=False)
    product.commit()
    product.write(
        "O", 1.0, more={"searches": [{"name": "mapped files", "median_milliseconds": 500, "best_milliseconds": 1}]}
    )
    assert product.compare("HEAD", "fake", "--runs", "1", "--json") == 0
    figures = {figure["name"]: figure["ratio"] for figure in json.loads(capsys.readouterr().out)["figures"]}
    assert figures["searches.mapped files.median_milliseconds"] == 0.25
    assert figures["searches.mapped files.best_milliseconds"] == 1.0


def test_the_lines_of_the_similar_benchmark_have_the_names_of_its_json() -> None:
    text = "pgvector          1,200.5 ms, at best 11.1 ms\nthe same 44 of 25,000 embeddings in 2 of 3 rounds\n2 cores\n"
    assert against_figures.read_lines(text) == {
        "searches.pgvector.median_milliseconds": 1200.5,
        "searches.pgvector.best_milliseconds": 11.1,
        "embeddings": 25_000,
        "rounds_with_the_same": 2,
        "rounds": 3,
    }


@pytest.mark.parametrize("failing", ["T", "O"])
def test_a_run_that_fails_ends_the_comparison_with_its_last_words(
    failing: str, product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.write("T", 1.0, status=3 if failing == "T" else 0)
    product.commit()
    product.write("O", 1.0, status=3 if failing == "O" else 0)
    assert product.compare("HEAD", "fake") == 1
    product.assert_nothing_is_left()
    errors = capsys.readouterr().err
    assert f"{'run 1 of 6, theirs' if failing == 'T' else 'run 2 of 6, ours'} (" in errors
    assert "exited with 3" in errors
    assert errors.endswith("nothing is well\n")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (("no-such-commit", "fake"), "expected a commit of this repository, received 'no-such-commit'"),
        (("HEAD", "other"), "expected one of fake, received 'other'"),
        (("HEAD~1", "fake"), "has no benchmark 'fake'; it has none"),
        (("HEAD", "fake", "--runs", "0"), "expected at least one run of each side, received --runs 0"),
    ],
)
def test_bad_usage_is_told_before_anything_runs(
    arguments: tuple[str, ...], expected: str, product: Product, capsys: pytest.CaptureFixture[str]
) -> None:
    product.commit()
    product.write("T", 1.0)
    product.commit()
    assert product.compare(*arguments) == 2
    product.assert_nothing_is_left()
    assert expected in capsys.readouterr().err
    assert product.journal.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whoever_ends_it_early_gets_run_and_worktree_removed(number: signal.Signals, product: Product) -> None:
    product.write("T", 1.0)
    product.commit()
    call = "against.main(sys.argv[2:], repository=Path(sys.argv[1]))"
    code = f"import sys; from pathlib import Path; from benchmarks import against; sys.exit({call})"
    arguments = [str(product.folder), "HEAD", "fake", *product.options, "--wait"]
    with subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=REPOSITORY) as process:
        deadline = time.monotonic() + 60
        while product.journal.read_text() != "T":
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
    assert product.journal.read_text() == "ended in order"
    product.assert_nothing_is_left()


def test_the_load_average_counts_before_the_first_run_only() -> None:
    def run(load: float, busy: float) -> against_runs.Run:
        return against_runs.Run("ours", seconds=1.0, load_before=load, cores_busy_before=busy, figures={})

    assert against_runs.find_busy_runs([run(0.1, 0.1), run(2.0, 0.1), run(2.0, 1.2)]) == [3]
    assert against_runs.find_busy_runs([run(0.9, 0.1), run(2.0, 0.1)]) == [1]

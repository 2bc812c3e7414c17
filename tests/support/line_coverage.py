"""Which lines of the product the tests of a run reached; the option ``--line-coverage`` has it printed.

SlipCover puts a probe into each line as a module is imported. On Python 3.11 coverage.py would call a function at each
line of every library too, which nearly doubles the time of the tests that run Django; this costs little. What only a
process that a test starts runs is not seen.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from slipcover import FileMatcher, ImportManager, Slipcover, merge_coverage
from slipcover.slipcover import add_summaries

SOURCES = ["catalog", "classifier", "config"]
OMITTED = ["*/migrations/*"]
FILES_SHOWN = 10


class LineCoverage:
    """A plugin that counts the lines of this process, or sums up those of the processes side by side."""

    def __init__(self, *, divides: bool) -> None:
        self._counts: dict[str, Any] | None = None
        self._probes: Slipcover | None = None
        self._folder = Path.cwd()
        if not divides:
            # Without taking probes out again, for which it looks through all modules time after time.
            self._probes = Slipcover(source=SOURCES, omit=OMITTED, d_miss_threshold=-1)
            self._imports = ImportManager(self._probes, FileMatcher(sources=SOURCES, omit=OMITTED))
            self._imports.__enter__()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Read the probes; a process that was handed its tests sends what they say."""
        if self._probes is not None:
            self._imports.__exit__(None, None, None)
            self._counts = self._probes.get_coverage()
            output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
            if output is not None:
                output["line_coverage"] = json.dumps(self._counts)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the lines of a process that has ended."""
        text = getattr(node, "workeroutput", {}).get("line_coverage")
        if text is None:
            return  # it was killed
        if self._counts is None:
            self._counts = json.loads(text)
        else:
            merge_coverage(self._counts, json.loads(text))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the total and the files of which most is missing."""
        if self._counts is None:
            return
        add_summaries(self._counts)
        terminalreporter.section("lines of the product that the tests reached")
        for line in list_report_lines(self._counts, folder=self._folder):
            terminalreporter.write_line(line)


def list_report_lines(counts: dict[str, Any], *, folder: Path) -> list[str]:
    """Return the table: the files with most lines missing, and the total."""
    files = {str((folder / name).relative_to(folder)): file["summary"] for name, file in counts["files"].items()}
    incomplete = {name: row for name, row in files.items() if row["missing_lines"]}
    worst = sorted(incomplete, key=lambda name: (-incomplete[name]["missing_lines"], name))[:FILES_SHOWN]
    lines = [
        f"{files[name]['percent_covered']:5.1f}%  {files[name]['missing_lines']:4} missing  {name}" for name in worst
    ]
    total = counts["summary"]
    reached, missing = total["covered_lines"], total["missing_lines"]
    return [
        *lines,
        f"{total['percent_covered']:5.1f}%  {missing:4} missing  of {reached + missing:,} lines in {len(files)} files, "
        f"{len(files) - len(incomplete)} of them complete",
    ]

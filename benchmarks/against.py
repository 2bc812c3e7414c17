"""A benchmark of another commit and of this working tree in turn, on one machine, figure beside figure.

    python -m benchmarks.against COMMIT NAME [--runs N] [--json] [-- OPTIONS OF THE BENCHMARK]

Theirs is the commit, checked out into a temporary worktree with its own benchmarks; ours is the working tree. Both run
with this Python and its packages, each run in a process of its own.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.against_figures import Figure, compare_figures
from benchmarks.against_runs import (
    AgainstError,
    Run,
    Side,
    checked_out,
    ended_in_order,
    find_benchmarks,
    find_busy_runs,
    find_commit,
    has_changes,
    measure,
)
from benchmarks.machine import BUSY, describe_machine

REPOSITORY: Final = Path(__file__).resolve().parents[1]
#: What a figure should reach is not measured: people read it only where the sides differ in it.
_BOUNDS: Final = ("floor", "goal")


def compare_runs(runs: Sequence[Run]) -> list[Figure]:
    """Return every figure that any of the runs has, with its values on both sides."""
    theirs, ours = ([run.figures for run in runs if run.side == side] for side in ("theirs", "ours"))
    return compare_figures(theirs=theirs, ours=ours)


def build_result(
    sides: Sequence[Side], runs: Sequence[Run], *, benchmark: str, options: Sequence[str], machine: dict[str, Any]
) -> dict[str, Any]:
    """Return the comparison as plain JSON."""
    return {
        "machine": machine,
        "benchmark": benchmark,
        "options": list(options),
        **{side.name: {"commit": side.commit, "changed": side.changed} for side in sides},
        "runs": [
            {
                "side": run.side,
                "seconds": run.seconds,
                "load_before": round(run.load_before, 2),
                "cores_busy_before": round(run.cores_busy_before, 2),
            }
            for run in runs
        ],
        "busy_runs": find_busy_runs(runs),
        "figures": [figure.to_json() for figure in compare_runs(runs)],
    }


def print_comparison(sides: Sequence[Side], runs: Sequence[Run], *, title: str, machine: dict[str, Any]) -> None:
    """Print the medians side by side, and below them what never differs and how busy the machine was."""
    figures = compare_runs(runs)
    table = Table(box=None, pad_edge=False, header_style="bold", title=escape(title), title_justify="left")
    table.add_column("figure", overflow="fold")
    for heading in ("theirs", "ours", "ours/theirs", "their runs", "our runs"):
        table.add_column(heading, justify="right", no_wrap=True)
    for figure in figures:
        if not figure.never_differs:
            theirs, ours = figure.medians
            ratio = "-" if figure.ratio is None else f"{figure.ratio:.3f}"
            spreads = [_show_spread(values) for values in (figure.theirs, figure.ours)]
            table.add_row(escape(figure.name), _show(theirs), _show(ours), ratio, *spreads)
    console = Console(highlight=False, width=150)
    console.print(table)
    same = [
        f"{figure.name} {_show(figure.ours[0])}"
        for figure in figures
        if figure.never_differs and figure.name.rpartition(".")[2] not in _BOUNDS
    ]
    if same:
        console.print(f"The same in every run: {escape('; '.join(same))}", soft_wrap=True)
    their_side, our_side = sides
    times = len(runs) // 2
    console.print(
        f"Medians of {times} run{'' if times == 1 else 's'} each, in turn: {their_side}, {our_side}", soft_wrap=True
    )
    loads = ", ".join(f"{run.load_before:.2f}" for run in runs)
    busy_cores = ", ".join(f"{run.cores_busy_before:.2f}" for run in runs)
    console.print(f"Load before each run: {loads}; cores busy: {busy_cores}", soft_wrap=True)
    busy = find_busy_runs(runs)
    if busy:
        console.print(
            f"The machine was busy before {len(busy)} of {len(runs)} runs (above {BUSY}): trust a ratio only where the "
            "runs of the two sides lie apart",
            soft_wrap=True,
        )
    console.print(f"{machine['cores']} cores, {machine['processor']}; Python {machine['python']}", soft_wrap=True)


def _show(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 1000 else f"{value:.4g}"


def _show_spread(values: Sequence[float]) -> str:
    return f"{_show(min(values))} to {_show(max(values))}" if values else "-"


def main(arguments: Sequence[str] | None = None, *, repository: Path = REPOSITORY) -> int:
    """Compare and print; return the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    own, benchmark_options = given[:end], [option for option in given[end + 1 :] if option != "--json"]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.against",
        description=__doc__.partition("\n")[0],
        usage="%(prog)s [-h] COMMIT NAME [--runs N] [--json] [-- OPTIONS OF THE BENCHMARK]",
    )
    parser.add_argument("commit", metavar="COMMIT", help="what to compare with: any name that git knows")
    benchmarks = find_benchmarks(repository)
    parser.add_argument("benchmark", metavar="NAME", help=f"one of {', '.join(benchmarks)}")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of each side (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    options = parser.parse_args(own)
    if options.runs < 1:
        parser.error(f"expected at least one run of each side, received --runs {options.runs}")
    if options.benchmark not in benchmarks:
        parser.error(f"expected one of {', '.join(benchmarks)}, received {options.benchmark!r}")
    try:
        commit = find_commit(repository, options.commit)
    except AgainstError as error:
        parser.error(str(error))
    machine = describe_machine(())
    try:
        with ended_in_order(), checked_out(repository, commit) as folder:
            if options.benchmark not in find_benchmarks(folder):
                known = ", ".join(find_benchmarks(folder)) or "none"
                parser.error(f"{commit[:7]} has no benchmark {options.benchmark!r}; it has {known}")
            changed = has_changes(repository)
            sides = (
                Side("theirs", commit=commit, folder=folder),
                Side("ours", commit=find_commit(repository, "HEAD"), folder=repository, changed=changed),
            )
            runs = measure(sides, benchmark=options.benchmark, options=benchmark_options, runs=options.runs)
    except AgainstError as error:
        parser.exit(1, f"{error}\n")
    if options.json:
        result = build_result(sides, runs, benchmark=options.benchmark, options=benchmark_options, machine=machine)
        sys.stdout.write(json.dumps(result) + "\n")
    else:
        title = " ".join(["benchmarks." + options.benchmark, *benchmark_options])
        print_comparison(sides, runs, title=title, machine=machine)
    return 0


if __name__ == "__main__":
    sys.exit(main())

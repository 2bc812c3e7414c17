"""The benchmark of readers while strangers knock: what is made of the seconds that pages took."""

import pytest

from benchmarks import doors


def test_people_read_what_readers_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        doors.build_row("nobody else", [0.01] * 19 + [0.2]),
        doors.build_row("callers at Gunicorn", [10.0, 10.0, 0.5, 10.0]),
    ]
    machine = {"cores": 2, "processor": "P", "load_before": 0.1, "python": "3.12.0", "libraries": {"gunicorn": "27"}}
    doors.print_result({"machine": machine, "rows": rows})
    _, quiet, knocked, *_ = capsys.readouterr().out.splitlines()
    assert quiet.split() == ["nobody", "else", "20", "10", "ms", "20", "ms", "200", "ms", "0"]
    assert knocked.split() == ["callers", "at", "Gunicorn", "4", "10000", "ms", "10000", "ms", "10000", "ms", "3"]

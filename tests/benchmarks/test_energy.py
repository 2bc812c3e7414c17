"""Energy as RAPL counts it, on counters of our own."""

from pathlib import Path

import pytest

from benchmarks.energy import Cost, measure


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """Two packages and a part of one, whose counters end at 100 joules."""
    for zone, name, used in (
        ("intel-rapl:0", "package-0", 10_000_000),
        ("intel-rapl:0:0", "core", 5_000_000),
        ("intel-rapl:1", "package-1", 99_000_000),
    ):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "name").write_text(f"{name}\n")
        (tmp_path / zone / "max_energy_range_uj").write_text("100000000\n")
        (tmp_path / zone / "energy_uj").write_text(f"{used}\n")
    return tmp_path


def test_packages_are_counted_over_the_end_of_their_counters(powercap: Path) -> None:
    def work() -> None:
        for zone, used in (("0", 12_500_000), ("0:0", 50_000_000), ("1", 3_000_000)):
            (powercap / f"intel-rapl:{zone}" / "energy_uj").write_text(str(used))

    cost = measure(work, powercap=powercap)
    assert cost.joules == pytest.approx(2.5 + 4.0)
    assert cost.seconds > 0


def test_a_machine_that_does_not_tell_has_seconds_alone(powercap: Path, tmp_path: Path) -> None:
    assert measure(lambda: None, powercap=tmp_path / "nowhere").joules is None
    (powercap / "intel-rapl:1" / "energy_uj").unlink()
    assert measure(lambda: None, powercap=powercap).joules is None


def test_costs_add_up_as_far_as_they_are_known() -> None:
    assert Cost(1.0, 2.0) + Cost(0.5, 3.0) == Cost(1.5, 5.0)
    assert Cost(1.0, None) + Cost(0.5, 3.0) == Cost(1.5, None)

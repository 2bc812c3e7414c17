"""Steps of a run, one after the other."""

import pytest

from classifier.runs.steps import do_steps


@pytest.mark.parametrize("seconds, more, done", [(60, False, 3), (0, True, 1)])
def test_steps_are_done_until_there_is_none_or_the_time_is_over(seconds: float, more: bool, done: int) -> None:
    calls: list[int] = []

    def step(run_id: int) -> bool:
        calls.append(run_id)
        return len(calls) < 3

    assert do_steps(7, step=step, seconds=seconds) is more
    assert calls == [7] * done

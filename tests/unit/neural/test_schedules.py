import math
from itertools import pairwise

import pytest

from forecasting.config.training import TrainingConfig
from forecasting.neural.schedules import RatePlan


def rates(n_steps: int, **settings) -> list[float]:
    plan = RatePlan(TrainingConfig(learning_rate=1.0, **settings), n_steps)
    return [plan.rate(step) for step in range(n_steps)]


def test_warm_up_rises_in_a_line_before_any_course():
    for schedule in ("constant", "cosine", "exponential", "reduce_on_plateau"):
        assert rates(100, schedule=schedule, warmup_steps=4)[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])


def test_warm_up_takes_a_quarter_of_the_steps_at_most():
    assert rates(8, schedule="constant", warmup_steps=100) == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 1])


def test_cosine_falls_by_half_a_wave_to_the_last_rate():
    found = rates(1_001, schedule="cosine", warmup_steps=1, final_rate_ratio=0.1)
    assert found[501] == pytest.approx(0.55, abs=1e-3)
    assert found[-1] == pytest.approx(0.1, abs=1e-4)


def test_exponential_falls_by_the_same_share_every_step():
    found = rates(102, schedule="exponential", warmup_steps=1, final_rate_ratio=0.01)
    ratios = [later / earlier for earlier, later in pairwise(found[1:])]
    assert ratios == pytest.approx([0.01 ** (1 / 101)] * 100)


def test_one_cycle_rises_over_three_tenths_and_falls_to_the_last_rate():
    found = rates(101, schedule="one_cycle", final_rate_ratio=0.02)
    assert (found[0], found[30], found[-1]) == pytest.approx((0.04, 1.0, 0.02))
    assert found[:31] == sorted(found[:31])
    assert found[30:] == sorted(found[30:], reverse=True)


@pytest.mark.parametrize(("scaling", "peak"), [("none", 0.1), ("linear", 0.4), ("sqrt", 0.2)])
def test_the_rate_grows_with_the_batch_as_told(scaling, peak):
    training = TrainingConfig(learning_rate=0.1, batch_size=512, rate_scaling=scaling)
    assert math.isclose(RatePlan(training, 10).peak, peak)

import numpy as np
import pytest

from forecasting.neural.shares import choose_shares, fit_shares

LEVELS = (0.1, 0.5, 0.9)
HOUR_S = 3600
HORIZON = 6
ORIGINS = 1_700_000_000 + HOUR_S * np.arange(96)
"""Four folds of a day of origins each."""


def quantiles_around(median: np.ndarray) -> np.ndarray:
    return (median[:, :, None] + np.asarray([-1.0, 0.0, 1.0])).astype(np.float32)


def test_opposite_errors_of_one_size_get_equal_shares():
    target = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    found = fit_shares(
        target, [quantiles_around(target + 2), quantiles_around(target - 2)], np.ones_like(target), LEVELS
    )
    np.testing.assert_allclose(found, [0.5, 0.5], atol=0.02)


def test_a_member_that_knows_gets_everything():
    target = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    noise = np.random.default_rng(1).normal(size=target.shape)
    members = [quantiles_around(noise), quantiles_around(target), quantiles_around(target + 5)]
    np.testing.assert_allclose(fit_shares(target, members, np.ones_like(target), LEVELS), [0, 1, 0], atol=0.02)


def test_shares_are_as_good_as_the_best_of_a_fine_grid_and_missing_steps_do_not_count():
    rng = np.random.default_rng(2)
    target = rng.normal(size=(300, 2)).astype(np.float32)
    one, other = (quantiles_around(target + rng.normal(0.3, size, target.shape)) for size in (0.7, 1.1))
    present = (rng.random(target.shape) < 0.8).astype(np.float32)
    broken = np.where(present > 0, target, 1e6).astype(np.float32)

    def loss(share: float) -> float:
        distance = target[:, :, None] - (share * one + (1 - share) * other)
        every = np.maximum(np.asarray(LEVELS) * distance, (np.asarray(LEVELS) - 1) * distance)
        return float(every[present > 0].mean())

    found = fit_shares(broken, [one, other], present, LEVELS)
    assert found.sum() == pytest.approx(1.0)
    assert found.min() >= 0
    assert loss(found[0]) <= min(loss(share) for share in np.linspace(0, 1, 201)) * 1.002


def test_nothing_present_gives_equal_shares():
    target = np.zeros((3, 2), dtype=np.float32)
    members = [quantiles_around(target), quantiles_around(target + 1)]
    assert fit_shares(target, members, np.zeros_like(target), LEVELS).tolist() == [0.5, 0.5]


def chosen(target: np.ndarray, members: list[np.ndarray], present: np.ndarray | None = None, *, origins=ORIGINS):
    present = np.ones_like(target) if present is None else present
    return choose_shares(target, members, present, LEVELS, origins=origins, horizon_s=HORIZON * HOUR_S)


def drawn_target(n_windows: int = 96) -> np.ndarray:
    return np.random.default_rng(4).normal(size=(n_windows, HORIZON)).astype(np.float32)


def test_a_member_that_is_better_in_every_fold_gets_the_shares_that_fit_the_whole_period():
    target = drawn_target()
    noise = np.random.default_rng(5).normal(size=target.shape).astype(np.float32)
    members = [quantiles_around(target + 0.2 * noise), quantiles_around(target + 3.0)]
    found = chosen(target, members)
    assert (found.choice, found.n_folds) == ("fitted", 4)
    assert found.fitted_loss < found.equal_loss
    assert found.shares == tuple(fit_shares(target, members, np.ones_like(target), LEVELS))
    assert found.shares[0] > 0.8


def test_a_member_that_is_better_in_one_fold_alone_changes_nothing_of_equal_shares():
    target = drawn_target()
    fold = np.arange(96) // 24
    # Above in two folds and below in two, by different lengths: what fits three of them is wrong for the fourth.
    wrong = np.select([fold == 0, fold == 1, fold == 2], [4.0, -4.0, 4.0], -4.0)[:, None].astype(np.float32)
    members = [quantiles_around(target + wrong), quantiles_around(target - wrong + 0.5)]
    found = chosen(target, members)
    assert found.fitted_loss >= found.equal_loss
    assert (found.choice, found.shares) == ("equal", (0.5, 0.5))


def test_a_period_shorter_than_four_horizons_is_fitted_unchecked():
    n = 4 * HORIZON
    target = drawn_target(n)
    members = [quantiles_around(target), quantiles_around(target + 3.0)]
    found = chosen(target, members, origins=ORIGINS[:n])
    assert (found.choice, found.n_folds, found.fitted_loss, found.equal_loss) == ("unchecked", 0, None, None)
    assert found.shares[0] > 0.95
    longer = drawn_target(n + 1)
    members = [quantiles_around(longer), quantiles_around(longer + 3.0)]
    assert chosen(longer, members, origins=ORIGINS[: n + 1]).n_folds == 4


def test_losses_are_those_of_each_fold_left_out_by_shares_of_windows_that_share_no_step_with_it():
    target = drawn_target()
    rng = np.random.default_rng(6)
    members = [quantiles_around(target + rng.normal(mean, 1.0, target.shape)) for mean in (0.5, -0.8)]
    present = (rng.random(target.shape) < 0.9).astype(np.float32)
    found = chosen(target, members, present)
    total, count = 0.0, 0
    for fold in range(4):
        held = range(24 * fold, 24 * fold + 24)
        steps = {hour + step for hour in held for step in range(HORIZON)}
        others = [hour for hour in range(96) if not steps & set(range(hour, hour + HORIZON))]
        shares = fit_shares(target[others], [member[others] for member in members], present[others], LEVELS)
        for hour in held:
            for step in np.flatnonzero(present[hour]):
                mixed = shares[0] * members[0][hour, step] + shares[1] * members[1][hour, step]
                gap = float(target[hour, step]) - mixed
                total += float(np.mean([max(level * d, (level - 1) * d) for level, d in zip(LEVELS, gap, strict=True)]))
                count += 1
    assert found.fitted_loss == pytest.approx(total / count, rel=1e-6)


def test_a_fold_without_a_target_is_left_aside():
    target = drawn_target()
    members = [quantiles_around(target), quantiles_around(target + 3.0)]
    present = np.ones_like(target)
    present[24:48] = 0.0
    assert chosen(target, members, present).n_folds == 3

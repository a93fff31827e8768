import numpy as np
import pytest

from forecasting.neural.normal_equations import LinearMap, WindowMoments

RNG = np.random.default_rng(2)
N, LENGTH, HORIZON, COVARIATES = 400, 6, 3, 2
X, C = RNG.normal(size=(N, LENGTH)), RNG.normal(size=(N, HORIZON, COVARIATES))
KERNEL, COEFFICIENTS = RNG.normal(size=(LENGTH, HORIZON)), RNG.normal(size=(HORIZON, COVARIATES))
Y = X @ KERNEL + np.einsum("nhk,hk->nh", C, COEFFICIENTS) + 0.1 * RNG.normal(size=(N, HORIZON))
WEIGHTS = RNG.uniform(0.5, 2.0, N)
NO_COVARIATES = C[:, :, :0]
PRIOR = RNG.normal(size=(LENGTH, HORIZON))


def least_squares(step: int, penalty: float, prior: np.ndarray) -> np.ndarray:
    """One step of the horizon by one matrix of history and covariates."""
    columns = np.concatenate([X, C[:, step]], axis=1) * np.sqrt(WEIGHTS)[:, None]
    right = (Y[:, step] - X @ prior[:, step]) * np.sqrt(WEIGHTS)
    of_covariates = np.sum(WEIGHTS[:, None] * C[:, step] ** 2) / COVARIATES
    of_history = np.sum(WEIGHTS[:, None] * X**2) / LENGTH
    ridge = penalty * np.diag([of_history] * LENGTH + [of_covariates] * COVARIATES)
    return np.linalg.solve(columns.T @ columns + ridge, columns.T @ right)


def moments() -> WindowMoments:
    return WindowMoments.of(X, Y, C, WEIGHTS)


@pytest.mark.parametrize("penalty", [0.0, 0.3])
def test_block_elimination_gives_what_one_regression_for_each_step_gives(penalty):
    found = moments().solve(PRIOR, penalty)
    for step in range(HORIZON):
        whole = least_squares(step, penalty, PRIOR)
        np.testing.assert_allclose(found.kernel[:, step], PRIOR[:, step] + whole[:LENGTH], rtol=1e-8)
        np.testing.assert_allclose(found.coefficients[step], whole[LENGTH:], rtol=1e-8)


def test_a_large_penalty_leaves_the_prior():
    found = moments().solve(PRIOR, 1e12)
    np.testing.assert_allclose(found.kernel, PRIOR, atol=1e-6)
    np.testing.assert_allclose(found.coefficients, 0.0, atol=1e-6)


def test_sums_of_parts_are_the_sums_of_all():
    halves = [WindowMoments.of(X[part], Y[part], C[part], WEIGHTS[part]) for part in (slice(150), slice(150, None))]
    joined = halves[0] + halves[1] + moments().without_windows()
    np.testing.assert_allclose(joined.solve(PRIOR, 0.1).kernel, moments().solve(PRIOR, 0.1).kernel, rtol=1e-9)


def test_the_squared_error_is_that_of_the_forecasts():
    found = LinearMap(PRIOR, COEFFICIENTS)
    forecast = X @ PRIOR + np.einsum("nhk,hk->nh", C, COEFFICIENTS)
    expected = float(np.sum(WEIGHTS[:, None] * (Y - forecast) ** 2))
    assert moments().squared_error(found) == pytest.approx(expected, rel=1e-9)


def test_a_shorter_context_is_solved_from_the_same_sums():
    short = WindowMoments.of(X[:, -2:], Y, NO_COVARIATES, WEIGHTS)
    whole = WindowMoments.of(X, Y, NO_COVARIATES, WEIGHTS)
    np.testing.assert_allclose(whole.last(2).solve(PRIOR[-2:], 0.1).kernel, short.solve(PRIOR[-2:], 0.1).kernel)


def test_a_correction_without_penalty_is_the_fit_of_its_own_windows():
    own = WindowMoments.of(X[:100], Y[:100], NO_COVARIATES[:100], WEIGHTS[:100])
    shared = LinearMap(PRIOR, np.zeros((HORIZON, 0)))
    np.testing.assert_allclose(PRIOR + own.correction(shared, 0.0), own.solve(PRIOR, 0.0).kernel, rtol=1e-8)
    np.testing.assert_allclose(own.correction(shared, 1e12), 0.0, atol=1e-6)


def test_a_history_without_movement_leaves_the_prior():
    flat = WindowMoments.of(np.zeros((5, 2)), np.ones((5, 1)), np.zeros((5, 1, 0)), np.ones(5))
    np.testing.assert_allclose(flat.solve(np.ones((2, 1)), 0.1).kernel, 1.0)

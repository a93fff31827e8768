"""The seasonal naive forecast as a predictor: scored like a model."""

import numpy as np
import numpy.typing as npt

from forecasting.naive import naive_quantiles
from forecasting.predictors import Predictor
from forecasting.windows import ModelInputs


class SeasonalNaivePredictor(Predictor):
    """Repeats the last season of the target; see `forecasting.naive.naive_quantiles`.

    It reads what a model reads, the target in the first column of `history`, so it can be scored
    wherever a model can.
    """

    def __init__(self, season: int, levels: tuple[float, ...]) -> None:
        """Make a predictor.

        Args:
            season: Steps in a season, at least 1.
            levels: Quantile levels of the answer, ascending.

        Raises:
            ValueError: The season is shorter than one step.
        """
        if season < 1:
            raise ValueError(f"a season must have at least 1 step, found {season}")
        self.season = season
        self.levels = levels

    def predict(self, inputs: ModelInputs) -> npt.NDArray[np.float32]:
        """Quantiles `[B,H,Q]` in the target's unit, ascending along Q."""
        history = np.asarray(inputs.history[:, :, 0], dtype=np.float64)
        quantiles = naive_quantiles(history, self.levels, season=self.season, horizon=inputs.future.shape[1])
        return quantiles.astype(np.float32)

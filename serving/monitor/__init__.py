"""`almanac monitor`: joins actuals to logged forecasts, keeps the sums of their scores, measures drift, exposes all of it."""

"""Rolling-origin backtests: origins, naive baselines, scoring and summaries."""

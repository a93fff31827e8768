"""From a question to forecasts: what each series is forecast from, windows for the model, its answers, the fallback."""

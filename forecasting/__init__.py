"""The forecasting domain: light, pure code that every step, the pipeline and the server share."""

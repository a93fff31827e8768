"""Forecasts of every series for one cutoff, without a gateway: the same numbers, written once."""

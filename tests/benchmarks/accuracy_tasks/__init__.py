"""Accuracy of forecasts on public tables: what `make bench-accuracy` runs, task by task."""

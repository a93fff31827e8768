"""Migrations of the store, applied by `forecasting.store.opening`."""

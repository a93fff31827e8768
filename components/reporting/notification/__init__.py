"""Telling people and programs what became of a run."""

"""Candidate check and deployment."""

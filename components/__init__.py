"""The steps of a run: plain functions with thin Kubeflow Pipelines adapters."""

"""The pipeline as resources of a cluster: settings of its tasks for Kubeflow Pipelines, templates for Argo."""

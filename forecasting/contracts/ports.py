"""TCP ports. TensorFlow Serving's own two, then ours."""

GRPC_PORT = 8500
REST_PORT = 8501
GATEWAY_PORT = 8080
"""HTTP of the gateway; its Prometheus page is `/metrics` on the same port."""
MONITOR_PORT = 9102
"""Prometheus page of `almanac monitor`."""
METRICS_PATH = "/metrics"
MODEL_SERVER_METRICS_PATH = "/monitoring/prometheus/metrics"
"""TensorFlow Serving's default path for its Prometheus page, on the REST port."""

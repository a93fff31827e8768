"""Prometheus rules, Alertmanager routes and Grafana dashboards as code, over the names of `forecasting.contracts.metric_names`.

`python -m infra.monitoring` writes the files of infra/prometheus, infra/alertmanager and infra/grafana; tests hold the written
files equal to what is made here.
"""

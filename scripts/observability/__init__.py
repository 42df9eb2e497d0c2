"""Prometheus rules and Grafana dashboards, made of tables: what is promised, what breaks it."""

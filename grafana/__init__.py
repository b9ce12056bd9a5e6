"""The dashboards, as Python that makes Grafana's JSON: plain dicts in the classic schema (39, Grafana 10 to 13).

`python -m grafana` writes `dashboards/*.json`, `python -m grafana --check` fails when they are stale.
"""

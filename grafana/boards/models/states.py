"""States of a model, and what is asked of them."""

from grafana.queries import MODEL

STATES = ("unloaded", "loading", "loaded", "sleeping", "downloading", "failed")
BY_MODEL = "job, instance, model"
RATE = "[$__rate_interval]"
LOADED = f'llama_model_state{{{MODEL},state="loaded"}}'

"""What requests used: tokens, outcomes and durations by model. Knows nothing of Prometheus or of the supervisor."""

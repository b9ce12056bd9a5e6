"""GPU and host: what decides how fast a model can be."""

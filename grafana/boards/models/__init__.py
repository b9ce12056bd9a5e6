"""Models: router mode, where models come and go; of a single server the one model it has."""

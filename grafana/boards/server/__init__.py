"""Server: one instance, from its state down to its processes, with its log of that time beside it."""

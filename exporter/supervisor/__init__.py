"""Run llama-server as a child: what state it is in, what state it should be in, and how it gets there."""

"""What llama-server says over HTTP, and what follows from it. Knows nothing of Prometheus or of the supervisor."""

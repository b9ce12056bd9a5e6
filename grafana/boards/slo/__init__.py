"""SLO: promises on first token, time per token and availability, what is left of them and how fast it goes."""

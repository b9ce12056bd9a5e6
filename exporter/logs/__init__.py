"""llama-server's log: from the pipe to lines, records, finished requests, and out to stdout as JSON lines."""

"""A model, a server and traffic that need no download and no GPU: the whole exporter at work in one command."""

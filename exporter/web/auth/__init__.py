"""Who may do what: passwords, the control token, sessions, and where a request comes from."""

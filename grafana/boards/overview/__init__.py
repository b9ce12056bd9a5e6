"""Overview: the whole fleet, then the way to one server. Stands on recording rules, so it works for 1 and for 1,000."""

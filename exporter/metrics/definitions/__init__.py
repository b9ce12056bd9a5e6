"""Every metric of our own, declared once: collectors, docs and dashboards take names and meanings from here."""

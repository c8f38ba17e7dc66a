"""Models behind the ModelClient port."""

"""Places that keep backups."""

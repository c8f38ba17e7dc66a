"""Archives: places apart from the database that keep what they took."""

"""Data sets as files: Parquet, sealed by its own modular encryption, and the forms around it."""

"""What a backup is made of: rows in chunks, chunks under keys, and signed statements about both."""

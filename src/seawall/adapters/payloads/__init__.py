"""Where sealed payloads are kept outside the database: a folder, or an S3 bucket."""

"""Finding, replacing and restoring what identifies a person: 45 CFR 164.514(b)(2)(i)."""

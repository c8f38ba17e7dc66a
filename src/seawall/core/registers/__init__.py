"""The typed documents that decide: one module per kind, a specification and its rules."""

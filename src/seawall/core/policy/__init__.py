"""Who may do what with whose PHI, and why: pure decisions over documents that are handed in."""

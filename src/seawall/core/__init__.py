"""What is true: no I/O, clock, randomness, environment or threads."""

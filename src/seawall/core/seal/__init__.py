"""Sealed values: what PHI looks like everywhere but inside a unit of work that holds a grant."""

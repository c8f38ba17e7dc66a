"""How fast Seawall is on this machine: `make bench`, or `python -m benchmarks --help`.

docs/reference/benchmarks.md says what each figure means.
"""

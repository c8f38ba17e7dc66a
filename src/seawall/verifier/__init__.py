"""The auditor's program: verifies a copy of any tlog-tiles log, without Seawall.

It needs Python and the `cryptography` package. Copied out as a folder it runs
by `python verifier DIR`; installed with Seawall it is `seawall-verify DIR`. It
shares no code with the program that writes the log, so that one mistake cannot
hide in both. `steps.py` lists what it does.
"""

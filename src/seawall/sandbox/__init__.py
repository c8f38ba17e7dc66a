"""A small, deterministic, offline model that speaks the OpenAI dialect.

It stands where a vendor's model would stand, as its own process with its own
key and certificate, so that a whole exchange can be shown and tested on one
machine. It is no language model: a table of skills (`skills.py`) reads the
conversation with regular expressions. It says so in every answer's `model`.

Like the verifier, it imports nothing else of Seawall: what it reports to have
seen (`witness.py`) must not depend on the code that is being shown.
"""

from __future__ import annotations

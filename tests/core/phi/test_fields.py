"""Fields that say by their name what stands in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seawall.core.phi.fields import LONGEST, label_of_field

CASES = [
    json.loads(line)
    for line in (Path(__file__).parents[2] / "vectors" / "phi" / "fields.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_a_field_is_labelled_by_its_keys(case: dict[str, Any]) -> None:
    """Keys that tell give the class of the value, and others give none."""
    assert case["label"] == label_of_field(tuple(case["keys"]), case["value"])


def test_a_long_text_is_no_field() -> None:
    """A value longer than a field is searched like any text."""
    assert label_of_field(("family",), "x" * (LONGEST + 1)) is None

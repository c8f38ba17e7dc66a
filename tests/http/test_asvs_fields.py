"""A body has the fields of its path and no other: nobody writes a field that was not offered."""

from __future__ import annotations

from typing import Any

import pytest

from desk_scene import desk
from workforce_scene import ADA, DAN


@pytest.mark.parametrize(
    "more",
    [
        {"external_id": "x"},
        {"user_name": "x"},
        {"left_at": "2026-03-02T08:30:00Z"},
        {"standing": "left"},
        {"roles": ["service"]},
        {"version": 7},
        {"tenant": "another"},
        {"__proto__": {}},
    ],
)
async def test_a_body_with_another_field_is_refused(more: dict[str, Any]) -> None:
    """Whatever else a person's document has stays as it is, and so does what was offered."""
    there = await desk()
    before = there.place.spec(DAN)
    seen = await there.ask(ADA, "GET", f"/persons/{DAN}")

    body = {"title": "Dan the Second", **more}
    answer = await there.ask(
        ADA, "POST", f"/persons/{DAN}/change", body, if_match=seen.headers["etag"]
    )

    assert (400, before) == (answer.status_code, there.place.spec(DAN))

"""Lists in pages: a limit, and a mark of how far the caller has read.

A mark is opaque and counts for the very question that it was given for: it is
authenticated together with who asks and what else was asked.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

import orjson
from fastapi import Query

from seawall.core.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request

    from seawall.app.caller import Caller

Limit = Annotated[int, Query(ge=1, le=200, description="How many of them.")]
"""How many things a page has at most; give it the default that the list has."""
After = Annotated[
    str | None,
    Query(max_length=1_000, pattern="^[A-Za-z0-9_-]+$", description="The mark of a page before."),
]
"""The mark that the page before gave; None for the first page."""
_MAC: Final = 16
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is answered: what is on it, and the path of the next one."""

    items: list[Any]
    next: str | None

    def content(self) -> dict[str, Any]:
        """Return the body: `items`, and `next` where there is more."""
        return {"items": self.items, "next": self.next}

    def headers(self) -> dict[str, str]:
        """Return the header Link (RFC 8288), where there is more."""
        return {} if self.next is None else {"Link": f'<{self.next}>; rel="next"'}


class Pages:
    """Makes and reads the marks."""

    def __init__(self, key: bytes) -> None:
        self._key = hmac.digest(key, b"seawall page", hashlib.sha256)

    def position(self, request: Request, caller: Caller) -> Any:
        """Return the position that the mark of a request says, None for the first page.

        `Invalid` unless it was given for this question, to this caller.
        """
        after = request.query_params.get("after")
        if after is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4))
        except (binascii.Error, ValueError):
            raise _wrong() from None
        mac, said = raw[:_MAC], raw[_MAC:]
        if not hmac.compare_digest(mac, self._mac(request, caller, said)):
            raise _wrong()
        return orjson.loads(said)

    def page(self, request: Request, caller: Caller, items: list[Any], position: Any) -> Page:
        """Return a page whose last thing has a position; None if there is nothing after it."""
        if position is None:
            return Page(items, None)
        said = orjson.dumps(position)
        raw = self._mac(request, caller, said) + said
        mark = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
        asked = [(name, value) for name, value in _asked(request) if name != "after"]
        return Page(items, f"{request.scope['path']}?{urlencode([*asked, ('after', mark)])}")

    def of_list(
        self,
        request: Request,
        caller: Caller,
        items: Sequence[Item],
        name: Callable[[Item], str],
        limit: int,
    ) -> tuple[list[Item], Any]:
        """Return a page's things of a whole list, by names that are unique, and the position."""
        position = self.position(request, caller)
        ordered = sorted(items, key=name)
        if position is not None:
            ordered = [one for one in ordered if name(one) > str(position)]
        shown = ordered[:limit]
        return shown, name(shown[-1]) if len(ordered) > limit else None

    def _mac(self, request: Request, caller: Caller, said: bytes) -> bytes:
        who = [caller.principal.tenant, caller.principal.kind, caller.principal.name]
        # The limit may be another on the next page; everything else is the question.
        asked = [one for one in _asked(request) if one[0] not in {"after", "limit"}]
        bound = orjson.dumps([who, request.scope["path"], asked])
        return hmac.digest(self._key, bound + b"\n" + said, hashlib.sha256)[:_MAC]


def _asked(request: Request) -> list[tuple[str, str]]:
    return sorted(request.query_params.multi_items())


def _wrong() -> Invalid:
    return Invalid(
        "page-invalid", "after is not a mark that was given for this question", "begin anew"
    )

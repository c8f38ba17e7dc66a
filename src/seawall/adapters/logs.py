"""What a server says while it runs: JSON lines with an allow-list, at any level.

A log line can hold only the fields of `_ALLOWED`, in their narrow forms. Lines
of other libraries are reduced to who spoke, how loudly and where in the code,
because their texts may quote what they handled; an exception is reduced to its
type and the places that it passed. 45 CFR 164.502(a), 164.530(c)(1).
"""

from __future__ import annotations

import logging
import re
import sys
import threading
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from types import TracebackType
    from typing import TextIO

    from structlog.typing import EventDict

_PLAIN: Final = re.compile(r"[A-Za-z0-9 ._/:@=,()-]{1,200}")
_ALLOWED: Final = frozenset(
    {"event", "level", "timestamp", "code", "tenant", "entry", "port", "logger", "where", "type"}
)


def configure(stream: TextIO, level: str) -> None:
    """Send every log line of this process to `stream`, through the allow-list."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            allow_only,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level.lower()),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    handler = _Reducing(level.upper())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # What nobody catches would be printed with its text, which may hold a value.
    sys.excepthook = _report
    threading.excepthook = _report_thread
    logging.raiseExceptions = False
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio", "aiohttp"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True


def allow_only(_logger: Any, _method: str, fields: EventDict) -> EventDict:
    """Drop every field that is not on the list, and every value that is not plain."""
    return {name: _plain(value) for name, value in fields.items() if name in _ALLOWED}


def _plain(value: Any) -> str | int | list[str]:
    if isinstance(value, int):
        return value
    if isinstance(value, list):
        return [str(_plain(item)) for item in value]
    text = str(value)
    return text if _PLAIN.fullmatch(text) else "(withheld)"


class _Reducing(logging.Handler):
    """Reduces lines of other libraries to who, how loudly and where."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {
            "logger": record.name,
            "where": f"{record.module}:{record.lineno}",
        }
        if record.exc_info and record.exc_info[0]:
            fields |= _reduced(record.exc_info[0], record.exc_info[2])
        _say(record.levelname.lower(), "library", **fields)


def _reduced(kind: type[BaseException], places: TracebackType | None) -> dict[str, Any]:
    """Reduce an exception to its type and the places that it passed, without its text."""
    frames = traceback.extract_tb(places)[-8:]
    where = [f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno}" for frame in frames]
    return {"type": kind.__name__, "where": where}


def _report(kind: type[BaseException], _: BaseException, places: TracebackType | None) -> None:
    _say("error", "bug", **_reduced(kind, places))


def _report_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is not SystemExit:
        _say("error", "bug", **_reduced(args.exc_type, args.exc_traceback))


def _say(level: str, event: str, **fields: Any) -> None:
    """Write a line; that a log cannot be written must not stop what it tells of."""
    log = structlog.get_logger()
    with suppress(OSError, ValueError):
        getattr(log, level, log.info)(event, **fields)


class LogNotifier:
    """The Notifier port as log lines of the level `error`."""

    def alarm(self, code: str, tenant: str, entry: int | None) -> None:
        """Raise an alarm by a code, whose log, and an entry's index; never fails."""
        _say("error", "alarm", code=code, tenant=tenant, entry=-1 if entry is None else entry)

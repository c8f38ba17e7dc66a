"""Log lines: whatever is said, by whom and how loudly, only the allow-list comes out."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from seawall.adapters.logs import LogNotifier, allow_only, configure

if TYPE_CHECKING:
    from collections.abc import Iterator

MARKER = "Ms-Marker-Toy-1961"
FOREIGN = ["aiohttp", "aiohttp.client", "asyncio", "uvicorn.error", "uvicorn.access", "new.library"]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Log at the level `debug` to a stream; leave the process's logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, logging.raiseExceptions
    root.handlers.clear()
    written = io.StringIO()
    configure(written, "debug")
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, logging.raiseExceptions = hooks
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """Return what was logged, after looking for the marker."""
    text = stream.getvalue()
    assert "Marker" not in text
    assert "1961" not in text
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("level", [logging.DEBUG, logging.WARNING, logging.CRITICAL, 33])
def test_other_libraries_say_only_who_and_where(stream: io.StringIO, name: str, level: int) -> None:
    """A line of another library is reduced to its logger's name and its place in the code."""
    logging.getLogger(name).log(level, "sent %s", MARKER, extra={"body": MARKER})
    (line,) = lines(stream)
    assert {"event", "level", "timestamp", "logger", "where"} == line.keys()
    assert ("library", name) == (line["event"], line["logger"])
    assert line["where"].startswith("test_logs:")


@pytest.mark.parametrize("name", FOREIGN)
def test_an_exception_is_its_type_and_its_places(stream: io.StringIO, name: str) -> None:
    """Of an exception and its causes no word is passed on: only the type and the frames."""
    cause = KeyError(MARKER)
    try:
        int(MARKER)
    except ValueError as error:
        error.__cause__ = cause
        logging.getLogger(name).exception("failed at %s", MARKER, stack_info=True)
    (line,) = lines(stream)
    assert ("ValueError", "error") == (line["type"], line["level"])
    assert line["where"][-1].startswith("adapters/test_logs.py:")


def test_a_type_that_is_named_after_a_value_is_withheld(stream: io.StringIO) -> None:
    """An exception's type whose name is not plain is not shown."""
    made = type("Ms Märker Toy", (Exception,), {})
    logging.getLogger("aiohttp").error("x", exc_info=made(MARKER))
    (line,) = lines(stream)
    assert line["type"] == "(withheld)"


async def test_asyncio_in_debug_mode_shows_no_values(stream: io.StringIO) -> None:
    """What the event loop complains about, in debug mode too, holds no value."""
    loop = asyncio.get_running_loop()
    loop.set_debug(enabled=True)
    loop.slow_callback_duration = 0.0

    async def fail(_said: str) -> None:
        """Fail with a text that must not be shown."""
        raise ValueError(MARKER)

    task = asyncio.create_task(fail(MARKER), name=MARKER)
    await asyncio.wait([task])
    context = {"message": MARKER, "exception": task.exception(), "task": task}
    loop.call_exception_handler(context)
    await asyncio.sleep(0)
    loop.set_debug(enabled=False)
    assert {"asyncio"} == {line["logger"] for line in lines(stream)}


def test_lines_below_the_level_are_not_written() -> None:
    """At the level `error` neither our own lines nor a library's below it come out."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook, logging.raiseExceptions
    root.handlers.clear()
    stream = io.StringIO()
    configure(stream, "error")
    structlog.get_logger().warning("own", code="a")
    logging.getLogger("aiohttp").warning("theirs")
    structlog.get_logger().error("own", code="b")
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook, logging.raiseExceptions = hooks
    structlog.reset_defaults()
    assert ["b"] == [line["code"] for line in lines(stream)]


def test_a_field_that_is_not_allowed_is_dropped(stream: io.StringIO) -> None:
    """Our own lines hold only fields of the list, also when somebody adds others."""
    log = structlog.get_logger().bind(patient=MARKER)
    log.info("exchange", code="answered", tenant="clinic", entry=7, body=MARKER, prompt=[MARKER])
    (line,) = lines(stream)
    del line["timestamp"]
    expected = {"event": "exchange", "level": "info", "code": "answered", "tenant": "clinic"}
    assert {**expected, "entry": 7} == line


@pytest.mark.parametrize(
    "value",
    [
        "Märker",
        "line\nbreak",
        "quote'd",
        '{"name"}',
        "x" * 201,
        "",
        None.__class__,
        {"a": 1},
        b"raw",
        ValueError("Märker"),
    ],
)
def test_a_value_that_is_not_plain_is_withheld(value: Any) -> None:
    """Values beyond short plain words are replaced, alone and in lists."""
    fields = {"code": value, "where": ["plain", value]}
    expected = {"code": "(withheld)", "where": ["plain", "(withheld)"]}
    assert expected == allow_only(None, "info", fields)


def test_an_alarm_names_its_entry(stream: io.StringIO) -> None:
    """An alarm is an error line with a code, a log and the entry's index, 0 included."""
    for entry in (0, 12, None):
        LogNotifier().alarm("outcome-unknown", "clinic", entry)
    written = lines(stream)
    assert [0, 12, -1] == [line["entry"] for line in written]
    assert {("alarm", "error", "outcome-unknown", "clinic")} == {
        (line["event"], line["level"], line["code"], line["tenant"]) for line in written
    }


def test_what_nobody_catches_is_its_type_and_its_places(stream: io.StringIO) -> None:
    """An exception that ends the process or a thread is reported without a word of its text."""
    try:
        int(MARKER)
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    def fail() -> None:
        """Fail with a text that must not be shown."""
        int(MARKER)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    assert [("bug", "ValueError")] * 2 == [(line["event"], line["type"]) for line in lines(stream)]


def test_a_log_that_cannot_be_written_stops_nothing(stream: io.StringIO) -> None:
    """A closed or full log is no reason for a server, or for an alarm, to fail."""
    stream.close()

    logging.getLogger("uvicorn.error").error("anything")
    LogNotifier().alarm("outcome-unrecorded", "clinic", 7)

    assert stream.closed

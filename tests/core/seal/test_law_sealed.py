"""The first law: PHI that is sealed shows nothing. Each test tries to see some."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import pprint
import traceback
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from seawall.core.errors import Tampered
from seawall.core.seal.envelope import Context, Sealed, seal, unseal

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = bytes(range(32))
CONTEXT = Context("clinic", "patient.identifiers", "p-71", "x-9")
SHOWN = "<Sealed patient.identifiers>"
MARKER = "Wilhelmina Quackenbush"


def sealed() -> Sealed:
    """Return sealed PHI."""
    return seal(
        MARKER.encode(), key=KEY, key_id="k-1", key_version=1, nonce=bytes(12), context=CONTEXT
    )


WAYS_TO_PRINT: dict[str, Callable[[Any], str]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "percent s": lambda value: "%s" % value,  # noqa: UP031  the way under test
    "percent r": lambda value: "%r" % value,  # noqa: UP031  the way under test
    "str.format": "{}".format,
    "f-string": lambda value: f"{value}",
    "pprint": pprint.pformat,
    "json with default": lambda value: json.loads(json.dumps(value, default=str)),
    "log line": lambda value: logging.LogRecord("n", 20, "p", 1, "%s", (value,), None).getMessage(),
}


@pytest.mark.parametrize("way", WAYS_TO_PRINT.values(), ids=WAYS_TO_PRINT)
def test_every_way_to_print_shows_only_the_kind(way: Callable[[Any], str]) -> None:
    """However a sealed value is printed, only its kind is seen."""
    assert way(sealed()) == SHOWN


@pytest.mark.parametrize("way", [json.dumps, orjson.dumps])
def test_json_refuses(way: Callable[[Any], Any]) -> None:
    """A sealed value does not become JSON by itself, alone or inside something."""
    with pytest.raises(TypeError):
        way({"patient": [sealed()]})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_refuses(protocol: int) -> None:
    """A sealed value is not pickled, by any protocol."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps({"a": sealed()}, protocol)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
def test_copying_refuses(way: Callable[[Any], Any]) -> None:
    """A sealed value is not copied behind anybody's back."""
    with pytest.raises(TypeError, match="not pickled"):
        way(sealed())


def test_no_dictionary_of_attributes() -> None:
    """A sealed value has no `__dict__` for a serialiser to walk."""
    with pytest.raises(TypeError):
        vars(sealed())


def test_public_attributes_are_context_and_key() -> None:
    """What can be read of a sealed value is its context, its key's name and its digest."""
    public = {name for name in dir(sealed()) if not name.startswith("_")}

    assert {"context", "key_id", "key_version", "digest"} == public


def test_no_attribute_holds_the_plaintext() -> None:
    """No attribute of a sealed value, private ones included, shows what was sealed."""
    value = sealed()

    assert [] == [name for name in dir(value) if MARKER in repr(getattr(value, name))]
    assert MARKER.encode() not in bytes(value)


@pytest.mark.parametrize("name", ["context", "key_id", "key_version", "_raw", "note"])
def test_sealed_value_does_not_change(name: str) -> None:
    """The context that a grant is checked against cannot be swapped for another's."""
    with pytest.raises(AttributeError):
        setattr(sealed(), name, CONTEXT)


def test_traceback_with_locals_shows_nothing() -> None:
    """A traceback that captures locals shows of a sealed value only its kind."""
    value = sealed()
    held = {"in a mapping": value}
    with pytest.raises(ZeroDivisionError) as caught:
        _ = 1 / 0 if value in held.values() else held
    shown = "".join(
        traceback.TracebackException.from_exception(caught.value, capture_locals=True).format()
    )

    assert SHOWN in shown
    assert repr(bytes(value)) not in shown


def test_failure_to_open_shows_nothing() -> None:
    """A value that does not open raises an error with neither text, cause nor ciphertext."""
    with pytest.raises(Tampered) as caught:
        unseal(sealed(), bytes(32))
    error = caught.value
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    shown = "".join(report.format())

    assert error.__cause__ is None
    assert error.__suppress_context__
    assert MARKER not in shown
    assert MARKER not in repr((error.args, error.__context__))

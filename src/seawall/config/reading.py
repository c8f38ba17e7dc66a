"""Reading the settings once: the file in the data folder, then variables, then the command line."""

from __future__ import annotations

import os
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from seawall.config.settings import Settings
from seawall.config.tables import (
    AccessTable,
    ArchiveBucket,
    ArchiveFolder,
    Backup,
    Keys,
    OpenIdProvider,
    PayloadBucket,
    PayloadFolder,
    TimeStamps,
    Witness,
    in_file,
    wrong,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TableT = TypeVar("TableT")

DEMO_FOLDER: Final = Path("seawall-demo")
_SCALARS: Final = frozenset({"str", "int", "float", "bool"})


def read_settings(data_dir: Path | None, environment: Mapping[str, str], **given: Any) -> Settings:
    """Return the settings; `given` (the command line's) win over variables, these over the file."""
    folder = data_dir or Path(environment.get("SEAWALL_DATA_DIR") or DEMO_FOLDER)
    kinds = {item.name: str(item.type) for item in fields(Settings) if str(item.type) in _SCALARS}
    chosen: dict[str, Any] = _file(folder / "seawall.toml", kinds)
    for name, kind in kinds.items():
        text = environment.get(f"SEAWALL_{name.upper()}")
        if text is not None:
            chosen[name] = _read(name, kind, text)
    chosen |= {name: value for name, value in given.items() if value is not None}
    return Settings(data_dir=folder, **chosen)


def environment() -> Mapping[str, str]:
    """Return the process's environment, read here and nowhere else."""
    return os.environ


def _file(path: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise wrong("seawall.toml", "write a TOML file that can be read") from None
    for name, value in parsed.items():
        if name in _TABLES:
            parsed[name] = _TABLES[name](value)
            continue
        expected = kinds.get(name)
        fitting = ("float", "int") if expected == "float" else (expected,)
        if type(value).__name__ not in fitting:
            raise in_file(name)
    return parsed


def _witnesses(value: Any) -> tuple[Witness, ...]:
    return tuple(_table(Witness, item, "witnesses") for item in _list(value, "witnesses"))


def _archives(value: Any) -> tuple[ArchiveFolder | ArchiveBucket, ...]:
    return tuple(
        _table(ArchiveBucket, item, "archives")
        if "bucket" in item
        else _table(ArchiveFolder, item, "archives")
        for item in _list(value, "archives")
    )


def _payloads(value: Any) -> PayloadFolder | PayloadBucket:
    if isinstance(value, dict) and "bucket" in value:
        return _table(PayloadBucket, value, "payloads")
    return _table(PayloadFolder, value, "payloads")


def _keys(value: Any) -> Keys:
    return _table(Keys, value, "keys")


def _backup(value: Any) -> Backup:
    if not isinstance(value, dict) or not all(
        type(item) is (str if name == "folder" else int) for name, item in value.items()
    ):
        raise in_file("backup")
    try:
        return Backup(**value)
    except TypeError:
        raise in_file("backup") from None


def _access(value: Any) -> AccessTable:
    if not isinstance(value, dict) or not all(
        type(item) is (str if name == "provisioners" else int) for name, item in value.items()
    ):
        raise in_file("access")
    try:
        return AccessTable(**value)
    except TypeError:
        raise in_file("access") from None


def _providers(value: Any) -> tuple[OpenIdProvider, ...]:
    return tuple(_table(OpenIdProvider, item, "providers") for item in _list(value, "providers"))


def _time_stamps(value: Any) -> TimeStamps:
    return _table(TimeStamps, value, "timestamps")


def _list(value: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise in_file(name)
    return value


def _table(kind: type[TableT], value: Any, name: str) -> TableT:
    """Read one table of texts; `Invalid` unless it has the fields of its kind and no other."""
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise in_file(name)
    try:
        return kind(**value)
    except TypeError:
        raise in_file(name) from None


_TABLES: Final[dict[str, Callable[[Any], Any]]] = {
    "witnesses": _witnesses,
    "archives": _archives,
    "timestamps": _time_stamps,
    "keys": _keys,
    "backup": _backup,
    "payloads": _payloads,
    "access": _access,
    "providers": _providers,
}
"""What `seawall.toml` alone can hold, since a variable is one line of text."""


def _read(name: str, kind: str, text: str) -> str | int | float:
    readings: dict[str, Callable[[str], str | int | float]] = {
        "int": int,
        "float": float,
        "bool": {"true": True, "false": False}.__getitem__,
    }
    reading = readings.get(kind, str)
    try:
        return reading(text)
    except (ValueError, KeyError):
        fitting = "true or false" if kind == "bool" else f"a value of the kind {kind}"
        raise wrong(f"SEAWALL_{name.upper()}", f"use {fitting}") from None

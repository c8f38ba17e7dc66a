"""Settings, read once: `seawall.toml` in the data folder, then SEAWALL_* variables.

Secrets are not settings: the passphrase is taken apart from them and shown by
nothing. An unsafe combination refuses to start.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from seawall.core.errors import Invalid, Missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEMO_FOLDER: Final = Path("seawall-demo")
_HOST_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_LEVELS: Final = frozenset({"debug", "info", "warning", "error"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How this installation runs."""

    data_dir: Path
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = 8443
    """Port to listen on; 0 lets the system choose."""
    name: str = "localhost"
    """Host name under which clients reach the server; part of its certificate and log origins."""
    log_level: str = "info"
    ledger_seconds: float = 5.0
    """Time within which an entry must be durable, else nothing moves."""
    database_pages: int = 0
    """Most pages of 4 KiB that the database may have; 0 means as many as the disk holds."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:  # noqa: PLR2004  TCP
            raise _wrong("port", "use a number from 0 to 65535")
        if self.log_level not in _LEVELS:
            raise _wrong("log_level", f"use one of {', '.join(sorted(_LEVELS))}")
        if not 0 < self.ledger_seconds <= 60:  # noqa: PLR2004  callers wait this long
            raise _wrong("ledger_seconds", "use more than 0 and at most 60 seconds")
        if self.database_pages < 0:
            raise _wrong("database_pages", "use 0, or the most pages that the database may have")
        if not _HOST_NAME.fullmatch(self.name):
            raise _wrong("name", "use a host name, such as seawall.example.org")
        try:
            ip_address(self.host)
        except ValueError:
            raise _wrong("host", "use an IP address, such as 127.0.0.1") from None

    @property
    def base_url(self) -> str:
        """The address under which clients reach the server."""
        return f"https://{self.name}:{self.port}"

    @property
    def token_url(self) -> str:
        """The audience of clients' assertions: stable, whatever the port."""
        return f"https://{self.name}/oauth2/token"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """What opens the key ring; shows nothing."""

    value: bytes = field(repr=False)


def read_settings(data_dir: Path | None, environment: Mapping[str, str], **given: Any) -> Settings:
    """Return the settings; `given` (the command line's) win over variables, these over the file."""
    folder = data_dir or Path(environment.get("SEAWALL_DATA_DIR") or DEMO_FOLDER)
    kinds = {item.name: str(item.type) for item in fields(Settings) if item.name != "data_dir"}
    chosen: dict[str, Any] = _file(folder / "seawall.toml", kinds)
    for name, kind in kinds.items():
        text = environment.get(f"SEAWALL_{name.upper()}")
        if text is not None:
            chosen[name] = _read(name, kind, text)
    chosen |= {name: value for name, value in given.items() if value is not None}
    return Settings(data_dir=folder, **chosen)


def read_passphrase(
    folder: Path, environment: Mapping[str, str], file: Path | None = None
) -> Passphrase:
    """Return the passphrase; `Missing` if there is none.

    From `file`, SEAWALL_PASSPHRASE_FILE, SEAWALL_PASSPHRASE, in this order. A demo
    leaves its passphrase in its folder and says so; nothing else does.
    """
    place = file or environment.get("SEAWALL_PASSPHRASE_FILE")
    text = environment.get("SEAWALL_PASSPHRASE")
    if place is None and text is None and (folder / "passphrase").exists():
        place = folder / "passphrase"
    if place is not None:
        try:
            text = Path(place).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = None
    if not text:
        raise Missing(
            "passphrase-missing",
            "there is no passphrase for the key ring",
            "set SEAWALL_PASSPHRASE_FILE to a file that holds it, or SEAWALL_PASSPHRASE",
        )
    return Passphrase(text.encode())


def environment() -> Mapping[str, str]:
    """Return the process's environment, read here and nowhere else."""
    return os.environ


def _file(path: Path, kinds: Mapping[str, str]) -> dict[str, Any]:
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        raise _wrong("seawall.toml", "write a TOML file that can be read") from None
    for name, value in parsed.items():
        expected = kinds.get(name)
        fitting = ("float", "int") if expected == "float" else (expected,)
        if type(value).__name__ not in fitting:
            raise _wrong(f"seawall.toml: {name}", "see docs/reference/configuration.md")
    return parsed


def _read(name: str, kind: str, text: str) -> str | int | float:
    reading: Callable[[str], str | int | float] = {"int": int, "float": float}.get(kind, str)
    try:
        return reading(text)
    except ValueError:
        raise _wrong(f"SEAWALL_{name.upper()}", f"use a value of the kind {kind}") from None


def _wrong(name: str, help_text: str) -> Invalid:
    return Invalid("wrong-setting", f"the setting {name} is not usable", help_text)

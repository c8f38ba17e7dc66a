"""Talking to a server that holds the data folder: where it is, tokens, requests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from seawall.compose import client_assertion, new_client_key
from seawall.config import environment, read_certificate_password
from seawall.core.errors import Invalid, Missing, Refused, Unavailable
from seawall.tls import client_context

if TYPE_CHECKING:
    import ssl

    from seawall.config import Settings

_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_REFUSED = 400


def write_client_key(path: Path) -> dict[str, str]:
    """Make a client's key pair, write the private key to a new file, return the public one."""
    private = new_client_key()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        raise Invalid(
            "key-exists",
            "the key's file exists already",
            "name a new file; keys are not overwritten",
        )
    # Written aside first: a file that is there is a whole key, whenever this was ended.
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(orjson.dumps(private))
        out.flush()
        os.fsync(out.fileno())
    aside.replace(path)
    return {name: value for name, value in private.items() if name != "d"}


def ensure_client_key(path: Path) -> dict[str, str]:
    """Return the public key of a client's key file, making the file first if there is none."""
    if not path.exists():
        return write_client_key(path)
    try:
        private = orjson.loads(path.read_bytes())
        return {name: str(private[name]) for name in ("kty", "crv", "x")}
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        raise Invalid(
            "client-key-invalid",
            "a client's key file in the data folder is not a key",
            "remove the file: a new key is made, and the client's document changed to it",
        ) from None


def announce(folder: Path, url: str) -> None:
    """Leave a note in the data folder about where its server listens."""
    (folder / "server.json").write_bytes(orjson.dumps({"url": url}))


def withdraw(folder: Path) -> None:
    """Take the note away."""
    (folder / "server.json").unlink(missing_ok=True)


def server_url(folder: Path) -> str:
    """Return where the folder's server listens; `Unavailable` if none does."""
    try:
        return str(orjson.loads((folder / "server.json").read_bytes())["url"])
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        raise Unavailable(
            "server-not-running",
            "no server of this data folder is running",
            "start it with `seawall serve`, or name it with --url",
        ) from None


async def fetch_token(
    settings: Settings, *, client: str, key_file: Path, url: str, authority: Path | None
) -> dict[str, Any]:
    """Sign an assertion with the client's key and exchange it for a token."""
    try:
        key = orjson.loads(key_file.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        raise Missing(
            "client-key-missing",
            "the client's key cannot be read",
            "name its file with --key; `seawall client-key FILE` makes one",
        ) from None
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": client_assertion(key, client, settings.token_url),
    }
    answer = await _call(f"{url}/oauth2/token", authority, data=form)
    return dict(answer)


async def send_documents(
    url: str, token: str, authority: Path | None, documents: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Apply documents over the API."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = orjson.dumps(documents)
    return list(await _call(f"{url}/api/documents", authority, data=body, headers=headers))


async def send_backup(
    url: str, token: str, authority: Path | None, said: dict[str, Any]
) -> dict[str, Any]:
    """Have a server record a backup or a drill that this terminal made."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = orjson.dumps(said)
    return dict(await _call(f"{url}/api/backups", authority, data=body, headers=headers))


async def send_reading(
    url: str, token: str, authority: Path | None, reading: dict[str, Any]
) -> dict[str, Any]:
    """Have a server record a reading of the ledger."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = orjson.dumps(reading)
    return dict(await _call(f"{url}/api/ledger/readings", authority, data=body, headers=headers))


async def send_key_order(
    url: str, token: str, authority: Path | None, order: dict[str, Any], proof: dict[str, str]
) -> dict[str, Any]:
    """Order something about keys; `proof` are the headers of the second factor."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **proof}
    return dict(
        await _call(f"{url}/api/keys", authority, data=orjson.dumps(order), headers=headers)
    )


async def fetch_keys(
    url: str, token: str, authority: Path | None, work: str | None = None
) -> dict[str, Any]:
    """Ask what there is of the keys, or how far an order about them is."""
    place = f"{url}/api/keys" if work is None else f"{url}/api/keys/work/{work}"
    headers = {"Authorization": f"Bearer {token}"}
    return dict(await _call(place, authority, "GET", headers=headers))


def _context(authority: Path | None) -> ssl.SSLContext:
    """Return what verifies the server, and shows the certificate that the environment names."""
    given = environment()
    certificate, key = (given.get(f"SEAWALL_CLIENT_{name}") for name in ("CERTIFICATE", "KEY"))
    if not certificate:
        return client_context(authority)
    password = read_certificate_password(given, "SEAWALL_CLIENT_KEY_PASSWORD")
    try:
        return client_context(authority, Path(certificate), Path(key) if key else None, password)
    except OSError:
        raise Invalid(
            "client-certificate-unreadable",
            "the client certificate or its key cannot be read, or they do not belong together",
            "name PEM files in SEAWALL_CLIENT_CERTIFICATE and SEAWALL_CLIENT_KEY",
        ) from None


async def _call(url: str, authority: Path | None, method: str = "POST", **request: Any) -> Any:
    try:
        context = _context(authority)
        timeout = aiohttp.ClientTimeout(total=30)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.request(method, url, ssl=context, allow_redirects=False, **request) as response,
        ):
            answer = orjson.loads(await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError, orjson.JSONDecodeError):
        raise Unavailable(
            "server-unreachable",
            "the server does not answer as it should",
            "check that `seawall serve` or `seawall demo` runs on this data folder",
        ) from None
    if response.status >= _REFUSED:
        raise _as_error(answer)
    return answer


def _as_error(answer: Any) -> Refused:
    """Read an error of the server's, in either of its two shapes."""
    told = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(told, dict):
        return Refused(str(told.get("code")), str(told.get("message")), "")
    if isinstance(answer, dict) and "code" in answer:
        return Refused(str(answer["code"]), str(answer.get("error_description")), "")
    return Refused("refused", "the server refuses", "see the server's log")

"""`seawall apply`, `get` and `history`: the registers at the terminal."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from seawall.app.documents import recorded_as
from seawall.app.ledger_query import MOST
from seawall.app.ports import Query
from seawall.app.record_reading import Reading, find_within
from seawall.cli.install import OPERATOR
from seawall.cli.ledger.recording import readings_of
from seawall.cli.options import (
    DataDir,
    Json,
    PassphraseFile,
    Tenant,
    choose_tenant,
    open_installation,
)
from seawall.cli.output import echo_lines, print_json, print_table
from seawall.cli.running import fetch_token, send_documents, server_url
from seawall.core.errors import Conflict, Invalid, Missing
from seawall.core.ledger.encoding import decode
from seawall.core.plain import plain
from seawall.core.policy.principal import Principal
from seawall.core.registers.register import KINDS, Register

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seawall.compose import Installation

_MAX_BYTES = 1 << 20


def apply(
    file: Annotated[Path, typer.Option("-f", "--file", help="YAML file, or folder of them.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Apply documents (kind, name, spec); print what changed. Doing it again changes nothing."""
    documents = list(read_documents(file))
    installation = open_installation(data_dir, passphrase_file)
    applied = asyncio.run(_apply(installation, tenant, documents))
    if json:
        print_json(applied)
        return
    print_table(
        "",
        ("document", "change", "entry"),
        (
            (
                f"{one['kind']}/{one['name']}@{one['version']}",
                one["change"],
                "" if one["entry"] is None else str(one["entry"]),
            )
            for one in applied
        ),
    )


async def _apply(
    installation: Installation, tenant: str | None, documents: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Apply here, or over the API of the server that holds the folder."""
    chosen = await choose_tenant(installation, tenant)
    try:
        async with installation.write() as writer:
            principal = Principal("operator", OPERATOR, chosen)
            return [asdict(one) for one in await writer.documents.apply(principal, documents)]
    except Conflict as conflict:
        if conflict.code != "folder-in-use":
            raise
    settings = installation.settings
    url, authority = server_url(settings.data_dir), settings.authority
    answer = await fetch_token(
        settings,
        client=f"{chosen}/{OPERATOR}",
        key_file=settings.data_dir / "clients" / f"{chosen}-{OPERATOR}.jwk",
        url=url,
        authority=authority,
    )
    return await send_documents(url, answer["access_token"], authority, documents)


def get(
    kind: Annotated[str, typer.Argument(help="Agreement, UseCase, Endpoint or Client.")],
    name: Annotated[str | None, typer.Argument(help="One document's name.")] = None,
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Show the documents of a kind as they stand, or one whole."""
    _check_kind(kind)
    installation = open_installation(data_dir, passphrase_file)
    register = asyncio.run(_register(installation, tenant))
    found = [
        document for document in register if document.kind == kind and name in (None, document.name)
    ]
    if name is not None and not found:
        raise Missing(
            "document-unknown", f"there is no {kind} of this name", f"see: seawall get {kind}"
        )
    shown = [
        {
            "kind": document.kind,
            "name": document.name,
            "version": document.version,
            "digest": document.digest(),
            "spec": document.spec.model_dump(mode="json"),
        }
        for document in found
    ]
    if json:
        print_json(shown)
    elif name is not None:
        echo_lines(_yaml(shown[0]))
    else:
        rows = (
            (document.name, str(document.version), document.digest()[:19]) for document in found
        )
        print_table("", ("name", "version", "digest"), rows)


def _yaml(document: dict[str, Any]) -> str:
    """Return a document as YAML that a terminal may show, and that means the same."""
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    if plain(text, "\n") != text:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=False)
    return text


async def _register(installation: Installation, tenant: str | None) -> Register:
    chosen = await choose_tenant(installation, tenant)
    return Register(await installation.store.documents(chosen))


def history(
    kind: Annotated[str, typer.Argument(help="Agreement, UseCase, Endpoint or Client.")],
    name: Annotated[str, typer.Argument(help="The document's name.")],
    data_dir: DataDir = None,
    passphrase_file: PassphraseFile = None,
    tenant: Tenant = None,
    json: Json = False,
) -> None:
    """Show every version of one document: when, by whom, and its digest."""
    _check_kind(kind)
    installation = open_installation(data_dir, passphrase_file)
    versions = asyncio.run(_history(installation, tenant, kind, name))
    if not versions:
        raise Missing(
            "document-unknown", f"there is no {kind} of this name", f"see: seawall get {kind}"
        )
    if json:
        print_json(versions)
        return
    columns = ("document", "at", "by", "digest", "entry")
    print_table("", columns, ([str(version[column]) for column in columns] for version in versions))


async def _history(
    installation: Installation, tenant: str | None, kind: str, name: str
) -> list[dict[str, Any]]:
    """Read a document's history out of the ledger, where each change is an entry."""
    chosen = await choose_tenant(installation, tenant)
    found = []
    for action in recorded_as(kind):
        found += await _recorded(installation, chosen, action)
    return [
        {
            "document": entry["document"],
            "at": entry["at"],
            "by": f"{entry['actor']['kind']} {entry['actor']['name']}",
            "digest": entry["digest"],
            "entry": index,
        }
        for index, entry in ((index, decode(raw)) for index, raw in sorted(found))
        if entry["document"].rpartition("@")[0] == f"{kind}/{name}"
    ]


async def _recorded(
    installation: Installation, tenant: str, action: str
) -> list[tuple[int, bytes]]:
    """Return every entry of an action, found in pages, after the reading was recorded."""
    query = Query((("action", action),), last=MOST)
    readings = await readings_of(installation, tenant)
    recorded = await readings.record(Reading("list", tenant, query))
    found = page = await find_within(installation.store, tenant, query, recorded.size)
    while len(page) == MOST:
        query = replace(query, before=page[0][0])
        page = await find_within(installation.store, tenant, query, recorded.size)
        found = page + found
    return found


def read_documents(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the documents of a YAML file or of every *.yaml file of a folder."""
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    for file in files:
        try:
            if file.stat().st_size > _MAX_BYTES:
                raise Invalid("file-too-large", f"{file.name} is over 1 MiB", "split it")
            text = file.read_text(encoding="utf-8")
            parsed = list(yaml.load_all(text, Loader=_StrictLoader))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            raise Invalid(
                "file-unreadable", f"{file.name}{where} is not readable YAML", "check the file"
            ) from None
        for document in parsed:
            if not isinstance(document, dict):
                raise Invalid(
                    "document-envelope",
                    f"{file.name} holds something that is not a document",
                    "each document has kind, name and spec; separate documents by ---",
                )
            yield _with_digest(document, file)


def _with_digest(document: dict[str, Any], file: Path) -> dict[str, Any]:
    """Replace `signed.file` of an agreement by the digest of that file."""
    signed = (
        (document.get("spec") or {}).get("signed") if document.get("kind") == "Agreement" else None
    )
    if not isinstance(signed, dict) or "file" not in signed:
        return document
    try:
        content = (file.parent / str(signed.pop("file"))).read_bytes()
    except OSError:
        raise Invalid(
            "signed-file-missing",
            f"the signed file that {file.name} names cannot be read",
            "check it",
        ) from None
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    if signed.setdefault("digest", digest) != digest:
        raise Invalid(
            "signed-file-changed",
            f"the signed file that {file.name} names has another digest than the document says",
            "use the file that was signed, or have the new one signed",
        )
    return document


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001  yaml's own signature
        """Build a mapping; raise if a key repeats."""
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) != len(node.value):
            raise yaml.constructor.ConstructorError(None, None, "a key repeats", node.start_mark)
        return mapping


def _check_kind(kind: str) -> None:
    if kind not in KINDS:
        raise Invalid("kind-unknown", "there is no such kind", f"kinds are {', '.join(KINDS)}")

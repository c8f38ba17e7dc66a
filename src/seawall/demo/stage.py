"""Setting the demo's stage: folder, sandbox model, tenant, documents, patients, server.

Everything is real but the patients, who are synthetic, and the model, which is
a sandbox. Run again on the same folder, it goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.cli.documents import read_documents
from seawall.cli.install import register_operator
from seawall.cli.running import announce, ensure_client_key, withdraw
from seawall.compose import RING, Installation, is_free
from seawall.config import environment, read_passphrase, read_settings
from seawall.core.errors import Unavailable
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from seawall.compose import Writer

TENANT: Final = "harborview"
CLIENT: Final = "demo-app"
_SANDBOX_KEY: Final = "SEAWALL_SANDBOX_KEY"
_ENDPOINT_SECRET: Final = "SEAWALL_SECRET_SANDBOX"  # noqa: S105  a variable's name
_KEY_PASSWORD: Final = "SEAWALL_SANDBOX_KEY_PASSWORD"  # noqa: S105  a variable's name
_START_SECONDS: Final = 20.0


@dataclass(frozen=True, slots=True)
class Patient:
    """A sample patient: how the demo names it, its FHIR resource, its notes."""

    key: str
    resource: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def reference(self) -> str:
        """The FHIR id, by which Seawall-Patient names the patient."""
        return str(self.patient()["id"])

    def patient(self) -> dict[str, Any]:
        """Return the Patient resource of the bundle."""
        return self._of_type("Patient")[0]

    def appointment(self) -> dict[str, Any]:
        """Return the first Appointment of the bundle."""
        return self._of_type("Appointment")[0]

    def _of_type(self, name: str) -> list[dict[str, Any]]:
        resources = (entry["resource"] for entry in self.resource["entry"])
        return [resource for resource in resources if resource["resourceType"] == name]


@dataclass(frozen=True, slots=True)
class Stage:
    """The demo, ready: where its server and its sandbox listen."""

    installation: Installation
    writer: Writer
    url: str
    sandbox_url: str
    sandbox_key: str
    patients: dict[str, Patient]

    @property
    def authority(self) -> Path:
        """The certificate authority that clients of the demo trust."""
        return self.installation.settings.data_dir / "tls" / "authority.pem"

    @property
    def client_key(self) -> Path:
        """The demo application's private key."""
        return self.installation.settings.data_dir / "clients" / f"{TENANT}-{CLIENT}.jwk"


def sample_patients() -> dict[str, Patient]:
    """Return the shipped patients by key."""
    root = files("seawall.demo")
    index = orjson.loads((root / "patients" / "index.json").read_bytes())
    return {
        item["key"]: Patient(
            item["key"],
            orjson.loads((root / "patients" / item["bundle"]).read_bytes()),
            tuple((root / "notes" / note).read_text(encoding="utf-8") for note in item["notes"]),
        )
        for item in index
    }


@asynccontextmanager
async def staged(
    data_dir: Path | None, port: int | None, say: Callable[[str], None]
) -> AsyncIterator[Stage]:
    """Set the stage, serve while the context lasts, and clean up after."""
    installation = _installation(data_dir, port, say)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(installation.write())
        say("starting the sandbox model, a process of its own")
        key = secrets.token_urlsafe(32)
        sandbox_port = await stack.enter_async_context(_sandbox(installation, key))
        # The Endpoint document names this variable; the key itself is stored nowhere.
        os.environ[_ENDPOINT_SECRET] = key
        sandbox_url = f"https://127.0.0.1:{sandbox_port}/v1"
        patients = sample_patients()
        say("applying documents: one agreement, two use cases, two endpoints, one client")
        await _prepare(writer, installation, sandbox_url)
        say(f"importing {len(patients)} synthetic patients (FHIR R4, Synthea)")
        await _import(writer, installation, patients)
        url, _ = await stack.enter_async_context(writer.serve())
        announce(installation.settings.data_dir, url)
        stack.callback(withdraw, installation.settings.data_dir)
        yield Stage(installation, writer, url, sandbox_url, key, patients)


def _installation(
    data_dir: Path | None, port: int | None, say: Callable[[str], None]
) -> Installation:
    settings = read_settings(data_dir, environment(), port=port)
    if port is None and not is_free(settings.host, settings.port):
        say(f"port {settings.port} is in use: choosing a free one")
        settings = replace(settings, port=0)
    folder = settings.data_dir
    if not (folder / RING).exists():
        say(f"making the data folder {folder}: key ring, SQLCipher database, certificate")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "passphrase"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(24) + "\n")
        say(f"a demo leaves its passphrase in {path}: no real installation does")
        return Installation.create(settings, read_passphrase(folder, {}))
    say(f"using the data folder {folder}")
    return Installation.open(settings, read_passphrase(folder, environment()))


@asynccontextmanager
async def _sandbox(installation: Installation, key: str) -> AsyncIterator[int]:
    """Run the sandbox model; yield its port."""
    certificate = installation.certificate()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "seawall.sandbox", "--host", "127.0.0.1", "--port", "0"),
        *("--cert", str(certificate.certificate), "--key", str(certificate.key)),
        *("--key-password-env", _KEY_PASSWORD, "--until-stdin-closes"),
        env={**environment(), _SANDBOX_KEY: key, _KEY_PASSWORD: certificate.password},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the sandbox's output is a pipe")
        yield await _port(process.stdout)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _port(output: asyncio.StreamReader) -> int:
    """Read on which port the sandbox listens."""
    try:
        async with asyncio.timeout(_START_SECONDS):
            return int(orjson.loads(await output.readline())["port"])
    except (TimeoutError, orjson.JSONDecodeError):
        raise Unavailable(
            "sandbox-not-started",
            "the sandbox model does not start",
            "run `python -m seawall.sandbox --help`, and see what it says",
        ) from None


async def _prepare(writer: Writer, installation: Installation, sandbox_url: str) -> None:
    folder = installation.settings.data_dir
    await writer.open_tenant(TENANT)
    await register_operator(writer, folder, TENANT)
    public = ensure_client_key(folder / "clients" / f"{TENANT}-{CLIENT}.jwk")
    client = {
        "title": "the demo's application",
        "public_key": public,
        "use_cases": ["appointment-reminders", "visit-summary"],
    }
    with as_file(files("seawall.demo")) as root:
        documents = list(read_documents(root / "documents"))
    filled = [_filled(document, sandbox_url, folder) for document in documents]
    await writer.documents.apply(
        Principal("operator", "demo", TENANT),
        [*filled, {"kind": "Client", "name": CLIENT, "spec": client}],
    )


def _filled(document: dict[str, Any], sandbox_url: str, folder: Path) -> dict[str, Any]:
    values = {
        "SANDBOX_URL": sandbox_url,
        "AUTHORITY": str((folder / "tls" / "authority.pem").absolute()),
    }
    spec = {
        name: values.get(value, value) if isinstance(value, str) else value
        for name, value in document["spec"].items()
    }
    return {**document, "spec": spec}


async def _import(writer: Writer, installation: Installation, patients: dict[str, Patient]) -> None:
    """Import the patients that an earlier run has not."""
    principal = Principal("operator", "demo", TENANT)
    for patient in patients.values():
        [term] = await writer.keys.blind(TENANT, [f"reference\n{patient.reference}"])
        if not await installation.store.patients(TENANT, [term]):
            await writer.import_patient.import_patient(principal, patient.resource)

"""A data folder as a clinic would have it: tenant, documents, a client, a patient, a prompt."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from seawall.cli.running import fetch_token, write_client_key
from seawall.compose import Installation
from seawall.config import Keys, Passphrase, Settings
from seawall.core.phi.identifiers import Label
from seawall.core.policy.principal import Principal
from seawall.core.registers.agreement import REQUIRED_TERMS
from seawall.demo.stage import Patient, sample_patients

if TYPE_CHECKING:
    from pathlib import Path

TENANT: Final = "riverside"
CLIENT: Final = "app"
PASSPHRASE: Final = "benchmarks-hold-synthetic-patients-only"  # noqa: S105  as it says
ENDPOINT: Final = "fixed"
OPEN: Final = "sees-everything"
MASKED: Final = "sees-no-identifier"
PROMPT_BYTES: Final = 2_048


@dataclass(frozen=True, slots=True)
class Clinic:
    """A prepared folder, and what a client of it needs."""

    installation: Installation
    patient: Patient
    key_file: Path = field(repr=False)

    @property
    def authority(self) -> Path:
        """The certificate authority that clients trust."""
        return self.installation.settings.data_dir / "tls" / "authority.pem"

    async def token(self, port: int) -> str:
        """Get a token at the server's own door."""
        issued = await fetch_token(
            self.installation.settings,
            client=f"{TENANT}/{CLIENT}",
            key_file=self.key_file,
            url=f"https://localhost:{port}",
            authority=self.authority,
        )
        return str(issued["access_token"])


def new_installation(folder: Path, *, database: str = "", keys: Keys | None = None) -> Installation:
    """Make an empty data folder with its certificate; `database` and `keys` are settings."""
    folder.mkdir(mode=0o700, parents=True)
    settings = Settings(folder, port=0, database=database, keys=keys or Keys())
    installation = Installation.create(settings, Passphrase(PASSPHRASE.encode()))
    installation.certificate()
    return installation


def new_replica(installation: Installation) -> Installation:
    """Return another process's view of a folder, over its own connections."""
    return Installation.open(installation.settings, Passphrase(PASSPHRASE.encode()))


async def furnish(installation: Installation, upstream: str) -> Clinic:
    """Apply the documents and import the patient; `upstream` is the model's base URL."""
    folder = installation.settings.data_dir
    key_file = folder / "clients" / f"{TENANT}-{CLIENT}.jwk"
    public_key = write_client_key(key_file)
    clinic = Clinic(installation, sample_patients()["koepp"], key_file)
    operator = Principal("operator", "benchmarks", TENANT)
    async with installation.write() as writer:
        await writer.open_tenant(TENANT)
        await writer.documents.apply(operator, _documents(clinic, public_key, upstream))
        await writer.import_patient.import_patient(operator, clinic.patient.resource)
    return clinic


def prompt(patient: Patient) -> str:
    """Return 2 KB of clinical text about the patient: an instruction and the beginning of notes."""
    text = "Summarize this for the care team.\n\n" + "\n".join(patient.notes)
    return text.encode()[:PROMPT_BYTES].decode(errors="ignore")


def question(patient: Patient, *, stream: bool = False) -> bytes:
    """Return the request's body; the prompt is its one message."""
    body: dict[str, Any] = {
        "model": ENDPOINT,
        "messages": [{"role": "user", "content": prompt(patient)}],
    }
    return orjson.dumps({**body, "stream": True} if stream else body)


def _documents(clinic: Clinic, key: dict[str, str], upstream: str) -> list[dict[str, Any]]:
    features = ["chat-completions"]
    use_case = {"title": "Measured", "purpose": "treatment", "justification": "to be measured"}
    everything = {"identifiers": list(Label), "clinical_text": True}
    specs: dict[tuple[str, str], dict[str, Any]] = {
        ("Agreement", "standing"): {
            "parties": {"covered_entity": "Riverside", "business_associate": "Fixed"},
            "effective": "2020-01-01",
            "expires": "2999-12-31",
            "terms": sorted(REQUIRED_TERMS),
            "covers": {"endpoints": [ENDPOINT], "features": features, "countries": ["US"]},
            "signed": {"by": ["A", "B"], "dated": "2020-01-01", "digest": f"sha256:{'0' * 64}"},
        },
        ("UseCase", OPEN): {**use_case, "endpoints": [ENDPOINT], "sees": everything},
        ("UseCase", MASKED): {
            **use_case,
            "endpoints": [ENDPOINT],
            "sees": {"clinical_text": True},
        },
        ("Endpoint", ENDPOINT): {
            "dialect": "openai",
            "url": upstream,
            "model": "fixed-1",
            "model_version": "1",
            "country": "US",
            "features": features,
            "retention": "nothing",
            "agreement": "standing",
            "trust": str(clinic.authority.absolute()),
        },
        ("Client", CLIENT): {
            "title": "The measured client",
            "public_key": key,
            "use_cases": [OPEN, MASKED],
        },
    }
    return [{"kind": kind, "name": name, "spec": spec} for (kind, name), spec in specs.items()]

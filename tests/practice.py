"""A practice in memory: every intent of `app` over fakes, with the real detector."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from fake_keys import MemoryKeyRing
from fakes import (
    FakeClock,
    FakeRandom,
    MemoryLedger,
    MemoryStore,
    RecordingNotifier,
    ScriptedAnswer,
    ScriptedModel,
)
from seawall.adapters.tokens import SignedTokens, make_client_key
from seawall.app.access import Access
from seawall.app.ask_model import AskModel
from seawall.app.caller import Caller
from seawall.app.close_exchanges import CloseExchanges
from seawall.app.documents import Documents
from seawall.app.import_patient import ImportPatient
from seawall.app.ports import SYSTEM_LOG
from seawall.app.read_ledger import ReadLedger
from seawall.app.recall import Recall
from seawall.app.trip import Call
from seawall.core.policy.principal import Principal
from seawall.core.registers.agreement import REQUIRED_TERMS
from token_desk import issuing

if TYPE_CHECKING:
    from seawall.app.access import Policies
    from seawall.app.answer import PlainAnswer, StreamedAnswer
    from seawall.core.phi.detection import Detector

TENANT: Final = "practice"
OPERATOR: Final = Principal("operator", "operator", TENANT)
CLIENT: Final = Principal("client", "app", TENANT)
CLIENT_KEY: Final = make_client_key(bytes(range(32)))
ORIGIN: Final = "https://localhost"
TOKEN_URL: Final = f"{ORIGIN}/oauth2/token"


class Practice:
    """The intents of `app`, wired as `seawall.compose` wires them, over fakes."""

    def __init__(self, detector: Detector, *script: Any, policies: Policies | None = None) -> None:
        self.journal: list[str] = []
        self.clock, self.random = FakeClock(), FakeRandom()
        self.ledger = MemoryLedger(self.journal)
        self.store = MemoryStore(self.ledger)
        self.keys = MemoryKeyRing(self.clock, self.random)
        self.notifier = RecordingNotifier()
        self.model = ScriptedModel(*script, journal=self.journal)
        self.detector = detector
        self.policies = policies
        """What decides on access besides the documents; None where nothing is asked."""
        self.read_ledger = ReadLedger(self.store)
        self.begin()

    def begin(self) -> None:
        """Begin as a process does: nothing is in memory but what the store holds."""
        parts: dict[str, Any] = {"store": self.store, "ledger": self.ledger, "clock": self.clock}
        keyed = {**parts, "keys": self.keys}
        self.documents = Documents(**parts)
        self.import_patient = ImportPatient(**keyed, random=self.random)
        self.close_exchanges = CloseExchanges(**parts, notifier=self.notifier)
        tokens = SignedTokens(bytes(32), self.clock)
        desk = {**parts, "documents": self.documents, "random": self.random, "tokens": tokens}
        self.issue_token, _ = issuing(desk, ORIGIN)
        self.ask_model = AskModel(
            closing=self.close_exchanges,
            **keyed,
            documents=self.documents,
            recall=Recall(**keyed),
            models=self.model,
            detector=self.detector,
            notifier=self.notifier,
            random=self.random,
            access=self._access(),
        )

    def _access(self) -> Access | None:
        if self.policies is None:
            return None
        return Access(
            documents=self.documents,
            policies=self.policies,
            emergencies=None,
            ledger=self.ledger,
            clock=self.clock,
        )

    async def open(self) -> None:
        """Open the tenant and apply its documents."""
        for log in (SYSTEM_LOG, TENANT):
            await self.ledger.open_log(log, f"localhost/log/{log}")
        await self.keys.prepare(TENANT)
        await self.documents.load()
        await self.documents.apply(OPERATOR, documents())

    async def ask(self, said: str = "hi", **named: Any) -> PlainAnswer | StreamedAnswer:
        """Ask one thing as the client `app`."""
        return await self.ask_model.ask(call(said, **named))

    def entries(self, action: str = "") -> list[dict[str, Any]]:
        """Return the entries of the tenant's log, or those of one action."""
        found = self.ledger.bodies(TENANT)
        return [entry for entry in found if action in ("", entry["action"])]

    def actions(self) -> list[str]:
        """Return what happened since the documents were applied."""
        return [one for one in self.journal if "document" not in one and "patient" not in one]


def call(
    said: str = "hi",
    *,
    use_case: str = "summary",
    patient: str | None = None,
    conversation: str | None = None,
    caller: Caller | None = None,
    **fields: Any,
) -> Call:
    """Return a call with one user's turn, of the client `app` unless told otherwise."""
    body = {"model": "model", "messages": [{"role": "user", "content": said}], **fields}
    raw = json.dumps(body).encode()
    return Call(caller or Caller(CLIENT), use_case, patient, conversation, raw)


def documents() -> list[dict[str, Any]]:
    """Return an agreement, an endpoint, three use cases and a client."""
    public = {name: value for name, value in CLIENT_KEY.items() if name != "d"}
    covers = {"endpoints": ["model"], "features": ["chat-completions"], "countries": ["US"]}
    signed = {"by": ["A", "B"], "dated": "2026-01-01", "digest": "sha256:" + "0" * 64}
    said = {"title": "A function", "justification": "it needs it", "purpose": "treatment"}
    seeing = {"sees": {"clinical_text": True}, "endpoints": ["model", "other"]}
    return [
        document(
            "Agreement",
            "agreement",
            parties={"covered_entity": "A", "business_associate": "B"},
            effective="2026-01-01",
            expires="2027-01-01",
            terms=sorted(REQUIRED_TERMS),
            covers=covers,
            signed=signed,
        ),
        document(
            "Endpoint",
            "model",
            dialect="openai",
            url="https://model.example/v1",
            model="model-1",
            model_version="1",
            country="US",
            features=["chat-completions", "tools"],
            retention="none",
            agreement="agreement",
        ),
        document("UseCase", "summary", **said, **seeing),
        document("UseCase", "blocking", **said, **seeing, answers="block"),
        document("UseCase", "flagging", **said, **seeing, answers="flag"),
        document(
            "Client",
            "app",
            title="app",
            public_key=public,
            use_cases=["summary", "blocking", "flagging"],
        ),
    ]


def document(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    """Return one document as it is applied."""
    return {"kind": kind, "name": name, "spec": spec}


def completion(text: str) -> bytes:
    """Return a plain answer of the dialect."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]}).encode()


def says(text: str) -> ScriptedAnswer:
    """Return the model's turn: a plain answer."""
    return ScriptedAnswer((completion(text),))


def streams(*texts: str, fault: Any = None) -> ScriptedAnswer:
    """Return the model's turn: a stream, one piece per text, whole unless there is a fault."""
    deltas = [{"index": 0, "delta": {"content": text}, "finish_reason": None} for text in texts]
    end = [] if fault else [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    pieces = [
        b"data: " + json.dumps({"id": "1", "choices": [choice]}).encode() + b"\n\n"
        for choice in (*deltas, *end)
    ]
    return ScriptedAnswer((*pieces, *([] if fault else [b"data: [DONE]\n\n"])), fault=fault)


def person(key: str, family: str, given: str, number: str) -> dict[str, Any]:
    """Return a FHIR R4 Patient."""
    kind = {"coding": [{"code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": key,
        "name": [{"family": family, "given": [given]}],
        "identifier": [{"type": kind, "system": "urn:clinic", "value": number}],
        "birthDate": "1956-08-03",
    }


ABDUL: Final = person("abdul", "Koepp", "Abdul", "MR-448812")
ANDY: Final = person("andy", "Schaden", "Andy", "MR-771203")


async def opened(detector: Detector, *script: Any, policies: Policies | None = None) -> Practice:
    """Return a practice with two patients, and a model by a script."""
    practice = Practice(detector, *script, policies=policies)
    await practice.open()
    for resource in (ABDUL, ANDY):
        await practice.import_patient.import_patient(OPERATOR, resource)
    return practice

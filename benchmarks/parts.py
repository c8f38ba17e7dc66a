"""Where the time of a masked exchange goes: its parts, called directly, in CPU microseconds.

The parts are those of `seawall.app.ask_model`, over a real folder, in the order
in which an exchange calls them.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from benchmarks.clinic import CLIENT, MASKED, TENANT, furnish, new_installation, question
from benchmarks.table import Table, say
from benchmarks.upstream import completion
from seawall.adapters.policies import load_policies
from seawall.app.access import Access
from seawall.app.answer import ANSWER
from seawall.app.ask_model import REQUEST
from seawall.app.caller import Caller
from seawall.app.entries import entry
from seawall.app.issue_token import Presented
from seawall.app.minimise import minimise
from seawall.app.policies import TenantPolicies
from seawall.app.ports import CloseExchange, KeepSealed, OpenExchange
from seawall.app.recall import Recall
from seawall.compose import client_assertion
from seawall.core.access.question import Question as AccessQuestion
from seawall.core.access.question import Resource
from seawall.core.access.vocabulary import Action, On
from seawall.core.gateway.given import Given
from seawall.core.gateway.inspection import Inspector
from seawall.core.gateway.openai_answer import Rewriting, rewrite_answer
from seawall.core.gateway.openai_chat import STRUCTURE, outgoing, read_request
from seawall.core.phi.replacement import Placeholders
from seawall.core.phi.walking import dump, leaves, parse_strict, transform
from seawall.core.policy.decision import Question, decide
from seawall.core.seal.envelope import Context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from benchmarks.clinic import Clinic
    from benchmarks.effort import Effort
    from seawall.app.minimise import Minimised
    from seawall.app.ports import Write
    from seawall.app.recall import Recalled
    from seawall.compose import Writer
    from seawall.core.access.question import Answer as AccessAnswer
    from seawall.core.gateway.openai_chat import ChatRequest
    from seawall.core.phi.spans import Span
    from seawall.core.policy.decision import Decision
    from seawall.core.policy.principal import Principal
    from seawall.core.policy.purpose import Purpose

_UPSTREAM: Final = "https://127.0.0.1:9/v1"
"""Nothing is sent."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    """The masked exchange whose parts are measured, as far as it is known beforehand."""

    clinic: Clinic
    writer: Writer
    token: str
    principal: Principal
    recall: Recall
    body: bytes
    request: ChatRequest
    decision: Decision
    recalled: Recalled
    minimised: Minimised
    placeholders: Placeholders
    access: Access
    policies: TenantPolicies
    found: list[tuple[str, list[Span]]]
    """Each text that is searched, and what is found in it."""

    def decide(self) -> Decision:
        """Decide as at the door."""
        return _decide(self.clinic, self.writer, self.request)

    def ask_policies(self) -> AccessAnswer:
        """Ask the policies of access, as each exchange does."""
        asker = self.access.asker(Caller(self.principal))
        purpose, names = self._sees()
        return self.access.ask(
            asker,
            Action.ASK_MODEL,
            Resource(On.EXCHANGE, TENANT, MASKED),
            purpose=purpose,
            elements=names,
        )

    def evaluate(self) -> AccessAnswer:
        """Evaluate the policies, as for the first request after a document changed."""
        asker = self.access.asker(Caller(self.principal))
        purpose, names = self._sees()
        asked = AccessQuestion(
            asker, Action.ASK_MODEL, Resource(On.EXCHANGE, TENANT, MASKED), purpose, elements=names
        )
        return self.policies.of(TENANT).decide(asked)

    def _sees(self) -> tuple[Purpose | None, frozenset[str]]:
        use_case = self.decision.use_case
        if use_case is None:
            raise RuntimeError("the measured exchange is refused")
        return use_case.spec.purpose, use_case.spec.sees.named

    def minimise(self) -> Minimised:
        """Walk, search and replace."""
        return _minimise(self.writer, self.request, self.recalled, self.decision, Placeholders())

    def find(self) -> None:
        """Search every text of the request."""
        for text, _ in self.found:
            self.writer.detector.find(text, self.recalled.known)

    def replace(self) -> None:
        """Replace what was found, in a new map."""
        placeholders = Placeholders()
        for text, spans in self.found:
            placeholders.replace(text, spans)

    async def attribute(self) -> None:
        """Match the request to known patients."""
        keys, store = self.writer.keys, self.clinic.installation.store
        said = [f"{kind}\n{value}" for kind, value in self.minimised.terms]
        terms = await keys.blind(TENANT, said)
        await store.patients(TENANT, terms)

    def rewrite(self) -> None:
        """Inspect and restore the answer."""
        detector, recalled = self.writer.detector, self.recalled
        given = Given(self.minimised.texts, self.minimised.identifiers)
        inspector = Inspector(lambda text: detector.find(text, recalled.known), given)
        rewriting = Rewriting(self.placeholders, inspector, "mask", writes_json=False)
        rewrite_answer(completion(), rewriting)

    def sealing(self, kind: str, payload: bytes) -> Callable[[], Awaitable[Any]]:
        """Return what seals a payload of this patient."""
        context = Context(TENANT, kind, str(self.recalled.patient), "item")
        return lambda: self.writer.keys.seal(payload, context)

    async def appending(
        self, kind: str, payload: bytes, opens: type[OpenExchange | CloseExchange]
    ) -> Callable[[], Awaitable[Any]]:
        """Return what appends an entry with a sealed payload, each of a new item."""
        numbers = itertools.count()
        patient = str(self.recalled.patient)
        fields = {
            "decision": self.decision.fields(),
            "found": dict(self.minimised.found),
            "patients": [patient],
        }

        async def append() -> None:
            item = f"{kind}-{next(numbers)}"
            sealed = await self.writer.keys.seal(payload, Context(TENANT, kind, patient, item))
            writes: list[Write] = [KeepSealed(sealed), opens(TENANT, item)]
            clock = self.clinic.installation.clock
            made = entry(kind, self.principal, clock, request=sealed.digest(), **fields)
            await self.writer.ledger.append(TENANT, made, writes)

        return append


def measure(effort: Effort) -> Table:
    """Return the table of parts."""
    with tempfile.TemporaryDirectory(prefix="seawall-benchmarks-") as place:
        say("parts: measuring the parts of a masked exchange")
        rows = asyncio.run(_measure(effort, Path(place) / "data"))
    total = sum(spent for _, spent, is_summed in rows if is_summed)
    return Table(
        "Parts of (c): one masked exchange, called directly",
        ("part", "CPU us"),
        [
            *((title, f"{spent:,.0f}") for title, spent, _ in rows),
            ("sum of the parts", f"{total:,.0f}"),
        ],
        (
            "Indented parts are contained in the one above them.",
            "The policies are evaluated after a document changed; their permit is kept until then.",
            "The rest of (c) is HTTP, TLS, the event loop and the client of the model.",
        ),
    )


async def _measure(effort: Effort, folder: Path) -> list[tuple[str, float, bool]]:
    clinic = await furnish(new_installation(folder), _UPSTREAM)
    async with clinic.installation.write() as writer:
        exchange = await _begin(clinic, writer)
        rows = []
        for title, work in [*_pure(exchange), *await _waiting(exchange)]:
            spent = await _cpu_us(work, effort.part_seconds)
            rows.append((title, spent, not title.startswith(" ")))
    return rows


def _pure(exchange: _Exchange) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield the parts that wait for nothing."""
    body, model = exchange.minimised.body, exchange.decision.endpoint
    name = model.spec.model if model else ""
    yield "identify: token", lambda: exchange.writer.issue_token.identify(Presented(exchange.token))
    yield "parse: JSON and fields", lambda: read_request(parse_strict(exchange.body))
    yield "decide", exchange.decide
    yield "ask the policies of access", exchange.ask_policies
    yield "  evaluate them", exchange.evaluate
    yield "minimise", exchange.minimise
    yield "  walk", lambda: transform(exchange.request.body, lambda text, _: text)
    yield "  detect", exchange.find
    yield "  replace", exchange.replace
    yield "write the request anew", lambda: dump(outgoing(body, name))
    yield "inspect and restore the answer", exchange.rewrite


async def _waiting(exchange: _Exchange) -> list[tuple[str, Callable[[], Any]]]:
    """Return the parts that wait for the store or the ledger."""
    sent = dump(outgoing(exchange.minimised.body, "fixed-1"))
    request = orjson.dumps({"received": exchange.body.decode(), "sent": sent.decode()})
    reference = exchange.clinic.patient.reference

    async def recall() -> None:
        await exchange.recall.recall(
            exchange.principal, exchange.decision, patient=reference, conversation=None
        )

    return [
        ("recall the patient: reads, 1 append", recall),
        ("attribute: 1 read", exchange.attribute),
        (
            "record the intent: seal, 1 append",
            await exchange.appending(REQUEST, request, OpenExchange),
        ),
        ("  seal", exchange.sealing(REQUEST, request)),
        (
            "record the outcome: seal, 1 append",
            await exchange.appending(ANSWER, completion(), CloseExchange),
        ),
        ("  seal ", exchange.sealing(ANSWER, completion())),
        (
            "  append alone, without writes",
            lambda: exchange.writer.ledger.append(
                TENANT,
                entry(
                    "exchange.intent",
                    exchange.principal,
                    exchange.clinic.installation.clock,
                    decision=exchange.decision.fields(),
                ),
            ),
        ),
    ]


async def _begin(clinic: Clinic, writer: Writer) -> _Exchange:
    """Carry one exchange as far as its parts need."""
    installation = clinic.installation
    key = orjson.loads(clinic.key_file.read_bytes())
    assertion = client_assertion(key, f"{TENANT}/{CLIENT}", installation.settings.token_url)
    token = (await writer.issue_token.issue(assertion)).token
    principal = (await writer.issue_token.identify(Presented(token))).principal
    recall = Recall(
        store=installation.store, ledger=writer.ledger, keys=writer.keys, clock=installation.clock
    )
    body = question(clinic.patient)
    request = read_request(parse_strict(body))
    decision = _decide(clinic, writer, request)
    recalled = await recall.recall(
        principal, decision, patient=clinic.patient.reference, conversation=None
    )
    placeholders = Placeholders()
    policies = TenantPolicies(load_policies(), writer.documents)
    texts = [text for text, _ in leaves(request.body) if text not in STRUCTURE]
    return _Exchange(
        clinic=clinic,
        writer=writer,
        token=token,
        principal=principal,
        recall=recall,
        body=body,
        request=request,
        decision=decision,
        recalled=recalled,
        minimised=_minimise(writer, request, recalled, decision, placeholders),
        placeholders=placeholders,
        access=Access(
            documents=writer.documents,
            policies=policies,
            emergencies=None,
            ledger=writer.ledger,
            clock=installation.clock,
        ),
        policies=policies,
        found=[(text, writer.detector.find(text, recalled.known)) for text in texts],
    )


def _decide(clinic: Clinic, writer: Writer, request: ChatRequest) -> Decision:
    asked = Question(
        CLIENT, MASKED, request.endpoint, request.features, clinic.installation.clock.today()
    )
    return decide(asked, writer.documents.register(TENANT))


def _minimise(
    writer: Writer,
    request: ChatRequest,
    recalled: Recalled,
    decision: Decision,
    placeholders: Placeholders,
) -> Minimised:
    if decision.use_case is None:
        raise RuntimeError("the measured exchange is refused")
    return minimise(
        request.body,
        sees=decision.use_case.spec.sees,
        detector=writer.detector,
        known=recalled.known,
        placeholders=placeholders,
    )


async def _cpu_us(work: Callable[[], Any], seconds: float) -> float:
    """Return the CPU time of one call in microseconds, its helping threads' included."""
    times, spent = 0, 0.0
    await _call(work)
    begun = time.process_time()
    while spent < seconds or not times:
        await _call(work)
        times += 1
        spent = time.process_time() - begun
    return 1e6 * spent / times


async def _call(work: Callable[[], Any]) -> None:
    result = work()
    if asyncio.iscoroutine(result):
        await result

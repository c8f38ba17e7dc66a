"""The rooms of the API over fakes: what each answers, and what each asks the policies."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from api_rooms import RECEIPTS, Rooms
from api_scene import PERSON, TENANT, code_of
from seawall.app.backup.recording import reported
from seawall.app.ports import SYSTEM_LOG
from seawall.core.access.vocabulary import Action
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    import httpx

_DRILL: Final[dict[str, Any]] = {
    "what": "drill",
    "snapshot": "20260302T093000Z-001122334455",
    "rows": 1,
    "size": 2,
    "milliseconds": 3,
}


@pytest.fixture
async def rooms() -> Rooms:
    """Return every room, with an exchange in the ledger."""
    return await Rooms().begin()


def _last(rooms: Rooms, log: str = TENANT) -> dict[str, Any]:
    return rooms.scene.ledger.bodies(log)[-1]


async def _get(rooms: Rooms, path: str, **headers: str) -> httpx.Response:
    return await rooms.scene.send("GET", path, {**rooms.scene.person(), **headers})


async def _post(rooms: Rooms, path: str, body: Any) -> httpx.Response:
    return await rooms.scene.send("POST", path, rooms.scene.person(), body)


# --- the ledger ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("log", "action"), [("tenant", Action.READ_LEDGER), ("system", Action.READ_SYSTEM_LEDGER)]
)
async def test_each_log_is_an_act_of_its_own(rooms: Rooms, log: str, action: Action) -> None:
    """Who may read the tenant's may not therefore read the system's."""
    rooms.scene.policies.forbidden.add(action)
    codes = [
        code_of(await _get(rooms, f"/api/ledger/{path}?log={log}"))
        for path in ("entries", "entries/0", "proof/0")
    ]
    read = await _post(rooms, "/api/ledger/readings", {"what": "verify", "log": log})
    assert ["access-refused"] * 4 == [*codes, code_of(read)]


@pytest.mark.parametrize("what", ["export", "produce", "tiles"])
@pytest.mark.parametrize(
    ("log", "action"), [("tenant", Action.READ_LEDGER), ("system", Action.READ_SYSTEM_LEDGER)]
)
async def test_taking_entries_away_is_an_act_besides_reading(
    rooms: Rooms, what: str, log: str, action: Action
) -> None:
    """It needs a reason, and both to be allowed."""
    body = {"what": what, "log": log, "reason": "the hospital's audit"}
    unsaid = code_of(await _post(rooms, "/api/ledger/readings", {"what": what, "log": log}))
    done = await _post(rooms, "/api/ledger/readings", body)
    codes = []
    for forbidden in (action, Action.EXPORT_LEDGER):
        rooms.scene.policies.forbidden = {forbidden}
        codes.append(code_of(await _post(rooms, "/api/ledger/readings", body)))
    assert ("reason-needed", 200) == (unsaid, done.status_code)
    assert ["access-refused"] * 2 == codes


async def test_why_entries_are_taken_away_is_sealed(rooms: Rooms) -> None:
    """The entry has the digest of the reason, and the policies that let it be done."""
    body = {"what": "export", "reason": "Anna Koepp complains"}
    await _post(rooms, "/api/ledger/readings", body)
    said = _last(rooms, SYSTEM_LOG)
    sealed = rooms.scene.ledger.kept[SYSTEM_LOG, "ledger.reason", said["reason"]["item"]]
    assert (sealed.digest(), ["needs-alone"]) == (
        said["reason"]["digest"],
        said["access"]["policies"],
    )
    assert "Koepp" not in str(said)


@pytest.mark.parametrize(
    "order",
    [
        {"do": "resume"},
        {"do": "resume", "drop_damaged": True},
        {"do": "rewrap", "drop_damaged": True},
        {"do": "rewrap", "drop_damaged": "yes"},
        {"do": "shred", "ids": ["a" * 24], "reason": "error"},
    ],
)
async def test_whatever_destroys_keys_is_asked_as_that(rooms: Rooms, order: dict[str, Any]) -> None:
    """So that what forbids it, such as emergency mode, holds for every order that does."""
    rooms.scene.policies.forbidden.add(Action.SHRED_KEYS)
    reply = await _post(rooms, "/api/keys", order)
    assert (403, "access-refused") == (reply.status_code, code_of(reply))


@pytest.mark.parametrize("order", [{"do": "resume"}, {"do": "rewrap", "drop_damaged": True}])
async def test_what_finishes_an_order_has_that_orders_reason(
    rooms: Rooms, order: dict[str, Any]
) -> None:
    """It is asked with a reason, which is in the entry of the shredding that it finishes."""
    reply = await _post(rooms, "/api/keys", order)
    asked = [one for one in rooms.scene.policies.asked if one.action is Action.SHRED_KEYS]
    assert (202, [True]) == (reply.status_code, [one.has_reason for one in asked])


async def test_a_reading_names_the_policies_that_let_it_be_done(rooms: Rooms) -> None:
    """Of entries, of one entry, and of what the terminal reads."""
    for path in ("entries", "entries/0", "proof/0"):
        await _get(rooms, f"/api/ledger/{path}")
        assert ["needs-alone"] == _last(rooms, SYSTEM_LOG)["access"]["policies"]
    await _post(rooms, "/api/ledger/readings", {"what": "verify"})
    assert ["needs-alone"] == _last(rooms, SYSTEM_LOG)["access"]["policies"]


async def test_a_person_reads_entries_and_is_recorded(rooms: Rooms) -> None:
    """By name, in the system's log, before anything is answered."""
    reply = await _get(rooms, "/api/ledger/entries?action=exchange.intent")
    assert [rooms.intent] == [one["entry"] for one in reply.json()["entries"]]
    assert {"kind": "user", "name": PERSON} == _last(rooms, SYSTEM_LOG)["actor"]


async def test_of_several_tenants_the_settings_name_who_reads_the_system(rooms: Rooms) -> None:
    """A role of one tenant does not show what the others do."""
    await rooms.scene.ledger.open_log("hillside", "seawall.test/log/hillside")
    await rooms.scene.documents.load()
    before = await _get(rooms, "/api/ledger/entries?log=system")
    rooms.named.add(f"{TENANT}/user/{PERSON}")
    after = await _get(rooms, "/api/ledger/entries?log=system")
    assert ("audit-not-granted", 200) == (code_of(before), after.status_code)


async def test_a_proof_is_a_text(rooms: Rooms) -> None:
    """In the form that every verifier reads."""
    reply = await _get(rooms, "/api/ledger/proof/0")
    assert (200, "text/plain; charset=utf-8") == (reply.status_code, reply.headers["Content-Type"])
    assert reply.text.startswith("c2sp.org/tlog-proof@v1\n")


@pytest.mark.parametrize("index", ["03", "-1", "1e3", "%2e%2e", "9" * 30, "0x1"])
async def test_an_index_is_a_number(rooms: Rooms, index: str) -> None:
    """And nothing that could be read as one."""
    reply = await _get(rooms, f"/api/ledger/entries/{index}")
    assert reply.status_code in {400, 404}


# --- keys -----------------------------------------------------------------------------


async def test_a_person_orders_without_a_code(rooms: Rooms) -> None:
    """The session's fresh factor stands for it, and the person's name is in the entries."""
    begun = await _post(rooms, "/api/keys", {"do": "rotate", "what": "tenant"})
    told = await rooms.ended(begun.json()["work"])
    assert (202, "done") == (begun.status_code, told["state"]), told
    assert {"kind": "user", "name": PERSON} == _last(rooms)["actor"]
    assert {"keys.rotate", "keys.rewrap"} <= {
        one["action"] for one in rooms.scene.ledger.bodies(TENANT) if "access" in one
    }


async def test_a_person_orders_with_a_fresh_factor_alone(rooms: Rooms) -> None:
    """After five minutes it is asked for again; looking needs none."""
    rooms.scene.clock.advance(301)
    ordered = await _post(rooms, "/api/keys", {"do": "rewrap"})
    looked = await _get(rooms, "/api/keys")
    assert (401, "step-up-needed", 200) == (
        ordered.status_code,
        code_of(ordered),
        looked.status_code,
    )


async def test_a_client_needs_an_operators_code(rooms: Rooms) -> None:
    """As before: its token alone orders nothing."""
    headers = rooms.scene.client()
    reply = await rooms.scene.send("POST", "/api/keys", headers, {"do": "rewrap"})
    assert (401, "step-up-needed") == (reply.status_code, code_of(reply))


@pytest.mark.parametrize(
    ("order", "action"),
    [
        ({"do": "rewrap"}, Action.CHANGE_KEYS),
        ({"do": "enrol", "name": "eve"}, Action.CHANGE_KEYS),
        ({"do": "shred", "ids": [], "reason": "error"}, Action.SHRED_KEYS),
        ({"do": "certificate", "entry": 0}, Action.VIEW_KEYS),
    ],
)
async def test_what_an_order_does_says_which_act_it_is(
    rooms: Rooms, order: dict[str, Any], action: Action
) -> None:
    """Who may rotate may not therefore shred."""
    rooms.scene.policies.forbidden.add(action)
    reply = await _post(rooms, "/api/keys", order)
    assert (403, "access-refused") == (reply.status_code, code_of(reply))


async def test_a_shredding_says_why(rooms: Rooms) -> None:
    """The order's reason is the act's."""
    reply = await _post(rooms, "/api/keys", {"do": "shred", "ids": []})
    assert (403, "reason-needed") == (reply.status_code, code_of(reply))


async def test_anothers_work_is_not_found(rooms: Rooms) -> None:
    """Nor what there never was."""
    reply = await _get(rooms, "/api/keys/work/00ff")
    assert (404, "work-unknown") == (reply.status_code, code_of(reply))


# --- exchanges and payloads -------------------------------------------------------------


async def test_exchanges_are_shown_without_a_text_or_a_patient(rooms: Rooms) -> None:
    """When, which use case and model, how it ended, and how much was found."""
    (shown,) = (await _get(rooms, "/api/exchanges")).json()["items"]
    assert ("visit-summary", "seawall-sandbox-1", "answered", {"NAME": 2}) == (
        shown["use_case"],
        shown["model"],
        shown["outcome"],
        shown["found"],
    )
    assert {"entry", "at", "client", "use_case", "purpose", "model", "outcome"} | {
        "found",
        "left",
    } == set(shown)


async def test_looking_at_exchanges_is_a_reading(rooms: Rooms) -> None:
    """The answer names its entry."""
    reading = (await _get(rooms, "/api/exchanges")).json()["reading"]
    said = rooms.scene.ledger.bodies(SYSTEM_LOG)[reading]
    assert ("ledger.read", {"action": "exchange.intent", "last": 50}) == (
        said["action"],
        said["query"],
    )
    assert said["access"]["allowed"]


async def test_exchanges_are_asked_for_by_use_case(rooms: Rooms) -> None:
    """The policies see which, and another one's are not shown."""
    other = (await _get(rooms, "/api/exchanges?use_case=triage")).json()["items"]
    assert ([], "triage") == (other, rooms.scene.policies.asked[-1].resource.name)


async def test_refused_exchanges_are_shown_by_their_code(rooms: Rooms) -> None:
    """They were not sent, and have no outcome but that."""
    (shown,) = (await _get(rooms, "/api/exchanges?which=refused")).json()["items"]
    assert ("minimum-necessary", None) == (shown["outcome"], shown["model"])


@pytest.mark.parametrize(
    ("part", "text"),
    [
        ("received", "Anna Koepp has a cough"),
        ("sent", "[NAME-1] has a cough"),
        ("answer", "Anna Koepp: a cold"),
    ],
)
async def test_one_part_of_an_exchange_is_opened(rooms: Rooms, part: str, text: str) -> None:
    """As it was sealed, and no other part of it."""
    reply = await _open(rooms, part=part)
    assert (200, text) == (reply.status_code, reply.json()["text"])


async def test_opening_is_an_entry_of_its_own(rooms: Rooms) -> None:
    """Who, whose, which, for what and by which policies; the reason by its digest alone."""
    reply = await _open(rooms)
    said = _last(rooms)
    assert (int(reply.headers["Seawall-Entry"]), "payload.open", rooms.intent, "sent") == (
        len(rooms.scene.ledger.bodies(TENANT)) - 1,
        said["action"],
        said["exchange"],
        said["part"],
    )
    assert ([rooms.patient], "patient-request", ["needs-alone"]) == (
        said["patients"],
        said["decision"]["purpose"]["name"],
        said["access"]["policies"],
    )
    assert "complains" not in str(said)


async def test_the_reason_is_sealed_for_the_patient(rooms: Rooms) -> None:
    """Beside the entry, which has its digest."""
    await _open(rooms)
    named = _last(rooms)["reason"]
    sealed = rooms.scene.ledger.kept[TENANT, "payload.reason", named["item"]]
    assert (named["digest"], rooms.patient) == (sealed.digest(), sealed.context.subject)


@pytest.mark.parametrize(
    ("left_out", "code"), [("reason", "reason-needed"), ("purpose", "purpose-needed")]
)
async def test_opening_needs_a_reason_and_a_purpose(rooms: Rooms, left_out: str, code: str) -> None:
    """Without either nothing is opened."""
    body = _asked(rooms)
    del body[left_out]
    reply = await _post(rooms, "/api/payloads/open", body)
    assert (403, code) == (reply.status_code, code_of(reply))


async def test_an_entry_that_is_no_exchange_opens_nothing(rooms: Rooms) -> None:
    """Nor one that is not there."""
    codes = [code_of(await _open(rooms, entry=index)) for index in (0, 10_000)]
    assert ["exchange-unknown"] * 2 == codes


@pytest.mark.parametrize("entry", ["{}", " {}", "{}.0", True, None, [1]])
async def test_the_policies_are_asked_of_the_entry_that_is_opened(rooms: Rooms, entry: Any) -> None:
    """What could be read as its number is none: a prohibition of one payload would not see it."""
    said = entry.format(rooms.intent) if isinstance(entry, str) else entry
    replies = [await _open(rooms, entry=said)]
    if isinstance(entry, str) and entry.endswith(".0"):
        replies.append(await _open(rooms, entry=float(rooms.intent)))
    assert {(400, "request-invalid")} == {(one.status_code, code_of(one)) for one in replies}
    assert [] == [one for one in rooms.scene.policies.asked if one.action is Action.OPEN_PAYLOAD]


@pytest.mark.parametrize(
    ("elements", "purposes", "code"),
    [
        (["entire-record"], ["patient-request"], ""),
        (["entire-record"], ["treatment"], "purpose-not-of-role"),
        (["Condition.code"], ["patient-request"], "element-not-of-role"),
    ],
)
async def test_a_role_that_is_shown_less_than_the_record_opens_no_text(
    rooms: Rooms, elements: list[str], purposes: list[str], code: str
) -> None:
    """Where the tenant says what the role may be shown, a text is shown for the whole alone."""
    entire = {"entire_record_justification": "j"} if elements == ["entire-record"] else {}
    spec = {"title": "t", "justification": "j", "elements": elements, "purposes": purposes}
    given = [{"kind": "RoleScope", "name": "privacy-officer", "spec": {**spec, **entire}}]
    await rooms.scene.documents.apply(Principal("operator", "o", TENANT), given)
    reply = await _open(rooms)
    expected = ("payload.open", 200) if not code else ("access.refused", 403)
    assert expected == (_last(rooms)["action"], reply.status_code)
    assert not code or code == code_of(reply) == _last(rooms)["access"]["code"]


async def test_what_is_shredded_does_not_open(rooms: Rooms) -> None:
    """It is gone, and no entry says that it was opened."""
    rooms.shred()
    reply = await _open(rooms)
    assert (404, "payload-gone") == (reply.status_code, code_of(reply))
    assert "payload.open" != _last(rooms)["action"]


async def test_what_lies_in_anothers_place_is_not_opened(rooms: Rooms) -> None:
    """A sealed request that is not the one of the entry is an incident."""
    await rooms.swap_request()
    reply = await _open(rooms)
    assert (500, "payload-tampered") == (reply.status_code, code_of(reply))


async def test_an_opened_text_is_not_kept_for_a_repeated_request(rooms: Rooms) -> None:
    """It says which entry opened it."""
    headers = {**rooms.scene.person(), "Idempotency-Key": "open-0001"}
    first, again = [
        await rooms.scene.send("POST", "/api/payloads/open", headers, _asked(rooms))
        for _ in range(2)
    ]
    assert (409, "answer-not-kept", first.headers["Seawall-Entry"]) == (
        again.status_code,
        code_of(again),
        again.headers["Seawall-Entry"],
    )


def _asked(rooms: Rooms, **changed: Any) -> dict[str, Any]:
    asked = {"entry": rooms.intent, "part": "sent", "purpose": "patient-request"}
    return {**asked, "reason": "the patient complains", **changed}


async def _open(rooms: Rooms, **changed: Any) -> httpx.Response:
    return await _post(rooms, "/api/payloads/open", _asked(rooms, **changed))


# --- the rest ---------------------------------------------------------------------------


async def test_a_backup_is_recorded(rooms: Rooms) -> None:
    """By whom the policies let and who holds the keys, in the system's log, as reported."""
    now_ms = rooms.scene.clock.now_ms()
    by = f"{TENANT}/{PERSON}"
    told = reported(_DRILL, receipt_key=RECEIPTS, by=by, at_ms=now_ms)
    reply = await _post(rooms, "/api/backups", told)
    bodies = rooms.scene.ledger.bodies(SYSTEM_LOG)
    assert reply.json() == {"entry": len(bodies) - 1}
    assert (TENANT, True) == (bodies[-1]["tenant"], bodies[-1]["reported"])


async def test_no_role_and_no_power_reports_a_backup_without_the_keys(rooms: Rooms) -> None:
    """An app of one tenant says nothing for the whole installation; its try is an entry."""
    before = rooms.scene.ledger.bodies(SYSTEM_LOG)
    reply = await _post(rooms, "/api/backups", _DRILL)
    assert (403, "backup-unproven") == (reply.status_code, code_of(reply))
    assert before == rooms.scene.ledger.bodies(SYSTEM_LOG)
    last = rooms.scene.ledger.bodies(TENANT)[-1]
    assert ("access.refused", "backup-unproven") == (last["action"], last["access"]["code"])


@pytest.mark.parametrize("what", [[], {}, 1, True, "make", "other"])
async def test_what_is_neither_is_no_backup(rooms: Rooms, what: Any) -> None:
    """It is refused in words, whatever it is."""
    reply = await _post(rooms, "/api/backups", {**_DRILL, "what": what})
    assert (400, "backup-record-invalid") == (reply.status_code, code_of(reply))


async def test_obligations_are_told_by_urgency(rooms: Rooms) -> None:
    """Of every part that knows of one, whether it is asked at once or waited for."""
    told = (await _get(rooms, "/api/obligations")).json()["items"]
    assert [("first", True), ("second", False)] == [(one["what"], one["overdue"]) for one in told]


async def test_the_table_of_access_is_sent_once(rooms: Rooms) -> None:
    """It is made once, and not sent again to who has it."""
    first = await _get(rooms, "/api/access/matrix")
    again = await _get(rooms, "/api/access/matrix", **{"If-None-Match": first.headers["ETag"]})
    assert (200, 304, 1) == (first.status_code, again.status_code, rooms.tables_made)
    assert len(Action) == len(first.json()["actions"])


async def test_explanations_are_few_a_minute_for_each_caller(rooms: Rooms) -> None:
    """Each takes a good part of a second of computing; a minute later there are more."""
    body = {"principal": "role/auditor", "action": "open-payload", "resource": "Payload/*"}
    replies = [await _post(rooms, "/api/access/explain", body) for _ in range(31)]
    rooms.scene.clock.advance(61)
    later = await _post(rooms, "/api/access/explain", body)
    assert [200] * 30 == [one.status_code for one in replies[:30]]
    assert (429, "explain-limited") == (replies[30].status_code, code_of(replies[30]))
    assert 200 == later.status_code


async def test_one_explanation_is_made_at_a_time(rooms: Rooms) -> None:
    """So that the threads that serve everything else are left to it."""
    body = {"principal": "role/auditor", "action": "open-payload", "resource": "Payload/*"}
    replies = await asyncio.gather(*(_post(rooms, "/api/access/explain", body) for _ in range(6)))
    assert [200] * 6 == [one.status_code for one in replies]
    assert 1 == rooms.registers.most_at_once


async def test_an_answer_of_the_policies_is_explained(rooms: Rooms) -> None:
    """By the shipped policies, with what would change it."""
    body = {"principal": "role/auditor", "action": "open-payload", "resource": "Payload/*"}
    said = (await _post(rooms, "/api/access/explain", body)).json()
    assert (False, "duties.auditor-opens-no-payload") == (
        said["allowed"],
        said["policies"][0]["name"],
    )


async def test_documents_are_allowed_each_by_its_kind(rooms: Rooms) -> None:
    """One that is not allowed stops the whole batch."""
    rooms.scene.policies.forbidden.add(Action.APPLY_CLIENTS)
    key = {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43}
    batch = [
        {"kind": "Retention", "name": "tenant", "spec": {"years": 7}},
        {"kind": "Client", "name": "new", "spec": {"title": "New", "public_key": key}},
    ]
    reply = await _post(rooms, "/api/documents", batch)
    shown = await _get(rooms, "/api/documents/Retention/tenant")
    assert (403, 404) == (reply.status_code, shown.status_code)


async def test_what_is_applied_says_by_which_policies(rooms: Rooms) -> None:
    """Of a batch and of one document alike."""
    batch = [{"kind": "Retention", "name": "tenant", "spec": {"years": 7}}]
    await _post(rooms, "/api/documents", batch)
    said = {"spec": {"years": 8}}
    headers = {**rooms.scene.person(), "If-Match": '"1"'}
    await rooms.scene.send("PUT", "/api/documents/Retention/tenant", headers, said)

    applied = [
        one for one in rooms.scene.ledger.bodies(TENANT) if one["action"] == "document.apply"
    ][-2:]
    assert [("Retention/tenant@1", True), ("Retention/tenant@2", True)] == [
        (one["document"], one["access"]["allowed"]) for one in applied
    ]


@pytest.mark.parametrize("body", [{}, [], [7], ["x"], {"kind": "Retention"}, "text", None, 7])
async def test_what_is_no_list_of_documents_is_refused(rooms: Rooms, body: Any) -> None:
    """In the same words for all."""
    headers = {**rooms.scene.person(), "Content-Type": "application/json"}

    reply = await rooms.scene.send("POST", "/api/documents", headers, raw=json.dumps(body).encode())
    assert (400, "documents-not-list") == (reply.status_code, code_of(reply))

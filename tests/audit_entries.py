"""Entries as the program writes them, for every action, drawn by hypothesis."""

from __future__ import annotations

from typing import Any, Final

from hypothesis import strategies as st

from seawall.core.ledger.facets import moment_text

ORIGIN: Final = "seawall.example/log/0011223344556677"

NAMES = st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True)
PATIENTS = st.text("0123456789abcdef", min_size=24, max_size=24)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map("sha256:{}".format)
CODES = st.from_regex(r"[a-z]{1,10}(-[a-z]{1,10}){0,2}", fullmatch=True)
THUMBPRINTS = st.text("ABab01-_", min_size=43, max_size=43)
COUNTS = st.dictionaries(st.sampled_from(["NAME", "DATE", "PHONE", "ID"]), st.integers(1, 99))
NUMBERS = st.integers(0, 2**53 - 1)
ACTORS = st.builds(
    lambda kind, name: {"kind": kind, "name": name},
    st.sampled_from(["client", "operator", "system", "user"]),
    NAMES,
)
DECISIONS = st.fixed_dictionaries(
    {
        "allowed": st.booleans(),
        "documents": st.lists(
            st.builds(
                "{}/{}@{}".format,
                st.sampled_from(["Client", "UseCase", "Endpoint", "Agreement"]),
                NAMES,
                st.integers(1, 999),
            ),
            max_size=4,
        ),
        "reasons": st.lists(st.just("the client may act under the use case"), max_size=3),
    },
    optional={
        "code": CODES,
        "purpose": st.fixed_dictionaries(
            {
                "name": st.just("treatment"),
                "hl7": st.sampled_from(["TREAT", "HPAYMT", "HOPERAT", "PATRQT", "HRESCH"]),
            }
        ),
        "model": st.fixed_dictionaries({"name": NAMES, "version": NAMES, "country": NAMES}),
        "policies": st.lists(NAMES.map("tenant.{}.1".format), max_size=32, unique=True),
    },
)
SCOPES = st.fixed_dictionaries(
    {
        "identifiers": st.lists(st.sampled_from(["DATE", "NAME"]), max_size=2, unique=True),
        "elements": st.lists(st.sampled_from(["Condition.*", "entire-record"]), max_size=2),
        "clinical_text": st.booleans(),
        "entire_record": st.booleans(),
    },
    optional={
        "further": NUMBERS,
        "justified_in": NAMES.map("UseCase/{}@2".format),
        "exception": st.fixed_dictionaries(
            {"name": st.just("authorization"), "paragraph": st.just("45 CFR 164.502(b)(2)(iii)")}
        ),
    },
)
SCOPED = st.builds(lambda decision, scope: {**decision, "scope": scope}, DECISIONS, SCOPES)
"""Decisions of an intent, which say what applied."""
FOR_USER = {"for_user": NAMES}
OUTCOMES = st.sampled_from(
    ["answered", "blocked", "failed", "abandoned", "unrecorded", "not-sent", "unknown"]
)
MANY = st.lists(PATIENTS, max_size=3, unique=True)

ACCESS = st.fixed_dictionaries({"allowed": st.just(True), "policies": st.lists(NAMES, max_size=2)})
NETWORKS = st.text("0123456789abcdef", min_size=32, max_size=32)
OPENED_ACCOUNTS = st.fixed_dictionaries(
    {
        "person": NAMES,
        "network": NETWORKS,
        "grant": st.fixed_dictionaries(
            {
                "kinds": st.just(["person.account"]),
                "subjects": st.just(["system"]),
                "until": NUMBERS,
            }
        ),
    },
    optional={"for": NAMES, "method": st.sampled_from(["password", "passkey", "code"])},
)
ENDED_TRIES = st.fixed_dictionaries(
    {"attempt": NUMBERS, "outcome": st.sampled_from(["accepted", "half", "recovered", "refused"])},
    optional={
        "person": NAMES,
        "for": NAMES,
        "because": CODES,
        "network": NETWORKS,
        "method": st.sampled_from(["password", "passkey", "code", "recovery"]),
    },
)
EMERGENCIES = st.builds("{}-{}".format, st.sampled_from(["access", "mode", "offline"]), NUMBERS)
"""The ids of emergencies."""
EMERGENCY = {
    "emergency": EMERGENCIES,
    "what": st.sampled_from(["access", "mode", "offline"]),
    "patients": PATIENTS.map(lambda one: [one]) | st.just([]),
    "document": EMERGENCIES.map("Emergency/{}@1".format),
    "digest": DIGESTS,
}

WITH = st.fixed_dictionaries({"documents": NUMBERS, "digest": DIGESTS})
PERSON_CHANGES = st.fixed_dictionaries(
    {
        "document": NAMES.map("User/{}@2".format),
        "digest": DIGESTS,
        "person": NAMES,
        "roles": st.lists(st.sampled_from(["auditor", "clinician"]), max_size=2, unique=True),
        "standing": st.sampled_from(["active", "suspended", "left"]),
    },
    optional={
        "sessions": st.just("all"),
        "account": st.sampled_from(["given", "changed", "taken"]),
        "asked": st.dictionaries(NAMES, NUMBERS, max_size=2),
        "delay_ms": NUMBERS,
        "with": WITH,
        "access": ACCESS,
    },
)
REVIEW_ANSWERS = st.fixed_dictionaries(
    {
        "document": NAMES.map("ReviewedGrant/{}.0001@2".format),
        "digest": DIGESTS,
        "review": NAMES,
        "item": NAMES.map("{}.0001".format),
        "granted": st.just("role/clinician"),
        "answer": st.sampled_from(["confirmed", "revoked", "lapsed", "kept", "unasked"]),
    },
    optional={"reason": DIGESTS, "with": WITH},
)

FIELDS: Final[dict[str, Any]] = {
    "document.apply": st.fixed_dictionaries(
        {"document": NAMES.map("Endpoint/{}@1".format), "digest": DIGESTS},
        optional={"access": ACCESS},
    ),
    "patient.import": st.fixed_dictionaries(
        {"patients": PATIENTS.map(lambda one: [one]), "identifiers": DIGESTS}
    ),
    "phi.open": st.fixed_dictionaries(
        {
            "decision": DECISIONS,
            "patients": MANY,
            "grant": st.fixed_dictionaries(
                {
                    "kinds": st.just(["patient.identifiers"]),
                    "subjects": MANY,
                    "until": NUMBERS,
                }
            ),
        },
        optional={
            **FOR_USER,
            "emergency": EMERGENCIES,
            "about": EMERGENCIES.map("Emergency/{}@1".format),
        },
    ),
    "patient.view": st.fixed_dictionaries(
        {
            "patients": PATIENTS.map(lambda one: [one]),
            "decision": DECISIONS,
            "access": ACCESS,
            "shown": st.lists(st.sampled_from(["NAME", "DATE", "ID"]), max_size=3),
            "withheld": st.lists(st.sampled_from(["PHONE", "SSN"]), max_size=2),
            "answers": st.lists(NUMBERS, max_size=3),
            "grant": st.fixed_dictionaries(
                {
                    "kinds": st.just(["exchange.answer", "patient.identifiers"]),
                    "subjects": MANY,
                    "until": NUMBERS,
                }
            ),
        },
        optional={"emergency": EMERGENCIES},
    ),
    "dataset.seal": st.fixed_dictionaries(
        {
            "dataset": NAMES,
            "item": st.just("7e" * 12),
            "rows": NUMBERS,
            "columns": NUMBERS,
            "schema": DIGESTS,
            "size": NUMBERS,
            "file": DIGESTS,
            "record": DIGESTS,
            "newest": DIGESTS,
        }
    ),
    "dataset.opened": st.fixed_dictionaries(
        {
            "dataset": NAMES,
            "item": st.just("7e" * 12),
            "intent": NUMBERS,
            "outcome": st.sampled_from(["opened", "failed"]),
        },
        optional={"rows": NUMBERS, "code": st.just("column-missing")},
    ),
    "dataset.open": st.fixed_dictionaries(
        {
            "dataset": NAMES,
            "item": st.just("7e" * 12),
            "columns": NUMBERS,
            "file": DIGESTS,
            "opened": st.sampled_from(["all", "some"]),
            "decision": DECISIONS,
            "grant": st.fixed_dictionaries(
                {
                    "kinds": st.just(["dataset.key", "dataset.newest", "dataset.record"]),
                    "subjects": st.just(["dataset/visits"]),
                    "until": NUMBERS,
                }
            ),
        },
        optional={"asked": NUMBERS, "schema": DIGESTS},
    ),
    "exchange.intent": st.fixed_dictionaries(
        {
            "decision": SCOPED,
            "patients": MANY,
            "unattributed": st.booleans(),
            "found": COUNTS,
            "left": COUNTS,
            "features": st.just(["chat-completions"]),
            "stream": st.booleans(),
            "item": st.text("0123456789abcdef", min_size=32, max_size=32),
            "request": DIGESTS,
        },
        optional=FOR_USER,
    ),
    "exchange.outcome": st.fixed_dictionaries(
        {"item": st.just("7e" * 16), "outcome": OUTCOMES},
        optional={
            "intent": NUMBERS,
            "patients": MANY,
            "new": COUNTS,
            "answer": DIGESTS,
            "code": CODES,
        },
    ),
    "exchange.refuse": st.fixed_dictionaries(
        {"decision": DECISIONS, "patients": MANY, "code": CODES}, optional=FOR_USER
    ),
    "access.refused": st.fixed_dictionaries(
        {
            "what": st.sampled_from(["read-ledger", "open-payload"]),
            "on": st.sampled_from(["Log", "Payload"]),
            "access": st.fixed_dictionaries(
                {"allowed": st.just(False), "policies": st.lists(NAMES), "code": CODES}
            ),
        }
    ),
    "payload.open": st.fixed_dictionaries(
        {
            "exchange": NUMBERS,
            "part": st.sampled_from(["received", "sent", "answer"]),
            "patients": MANY,
            "decision": DECISIONS,
            "reason": st.fixed_dictionaries({"item": st.just("7e" * 12), "digest": DIGESTS}),
            "access": ACCESS,
            "grant": st.fixed_dictionaries(
                {"kinds": st.just(["exchange.answer"]), "subjects": MANY, "until": NUMBERS}
            ),
        }
    ),
    **dict.fromkeys(
        ("session.begin", "session.again"),
        st.fixed_dictionaries(
            {
                "for": NAMES,
                "by": st.just("openid"),
                "provider": NAMES,
                "methods": st.just(["mfa", "otp", "pwd"]),
            }
        ),
    ),
    "session.refused": st.fixed_dictionaries(
        {"for": NAMES, "by": st.just("openid"), "provider": NAMES, "code": CODES}
    ),
    "session.end": st.fixed_dictionaries(
        {"for": NAMES, "sessions": st.sampled_from(["one", "others", "all"])},
        optional={"person": NAMES, "access": ACCESS},
    ),
    "token.issue": st.fixed_dictionaries(
        {"token": st.just("74a336a91a050afab643a4da")},
        optional={
            "certificate": THUMBPRINTS,
            "proof_key": THUMBPRINTS,
            "use_cases": st.lists(NAMES, max_size=64, unique=True),
            "one_patient": st.just(True),
            "person": NAMES,
        },
    ),
    "token.person": st.fixed_dictionaries(
        {"for": NAMES, "client": NAMES, "token": st.just("74a336a91a050afab643a4da")}
    ),
    "token.revoke": st.fixed_dictionaries(
        {}, optional={"token": st.just("74a336a91a050afab643a4da")}
    ),
    "ledger.read": st.fixed_dictionaries(
        {
            "what": st.sampled_from(["list", "show", "prove", "export", "produce", "tiles"]),
            "log": st.just(ORIGIN),
            "size": NUMBERS,
        },
        optional={
            "found": NUMBERS,
            "index": NUMBERS,
            "reason": st.just({"item": "7e" * 16, "digest": "sha256:" + "0" * 64}),
            "access": st.just({"allowed": True, "policies": ["auditor.reads"]}),
            "minute": st.just("2026-03-02T09:30Z"),
            "query": st.fixed_dictionaries(
                {"last": NUMBERS}, optional={"patient": PATIENTS | st.just("unknown")}
            ),
        },
    ),
    "ledger.archive": st.fixed_dictionaries({"log": st.just(ORIGIN), "upto": NUMBERS}),
    "ledger.retain": st.fixed_dictionaries({"log": st.just(ORIGIN), "years": NUMBERS}),
    "keys.rotate": st.fixed_dictionaries(
        {"what": st.sampled_from(["root", "tenant"]), "from": NUMBERS},
        optional={"access": ACCESS},
    ),
    "keys.rotated": st.fixed_dictionaries(
        {"what": st.just("root"), "intent": NUMBERS, "to": NUMBERS, "outcome": st.just("rotated")}
    ),
    "keys.rewrap": st.fixed_dictionaries(
        {"keys": NUMBERS, "to": NUMBERS}, optional={"access": ACCESS}
    ),
    "keys.rewrapped": st.fixed_dictionaries(
        {"intent": NUMBERS, "keys": NUMBERS, "outcome": st.sampled_from(["rewrapped", "failed"])}
    ),
    "keys.shred": st.fixed_dictionaries(
        {
            "what": st.just("patients"),
            "patients": MANY,
            "reason": st.just("error"),
            "deleted": st.fixed_dictionaries({"data_keys": NUMBERS, "sealed": NUMBERS}),
            "roots": st.lists(NUMBERS, max_size=3),
        },
        optional={"access": ACCESS},
    ),
    "keys.claim": st.fixed_dictionaries(
        {
            "state": st.sampled_from(["begun", "renewed", "ended"]),
            "what": st.sampled_from(["rotate", "shred"]),
            "for": NAMES,
            "until": NUMBERS,
            "claim": DIGESTS,
        }
    ),
    "keys.renew": st.fixed_dictionaries({"shred": NUMBERS, "from": NUMBERS}),
    "keys.drop": st.fixed_dictionaries({"shred": NUMBERS, "below": NUMBERS}),
    "keys.destroy": st.fixed_dictionaries({"shred": NUMBERS, "root": NUMBERS}),
    "keys.destroyed": st.fixed_dictionaries(
        {
            "shred": NUMBERS,
            "what": st.just("patients"),
            "patients": MANY,
            "certificate": st.fixed_dictionaries({"tenant": NAMES, "copies": NUMBERS}),
        }
    ),
    "emergency.begin": st.fixed_dictionaries(
        {
            **EMERGENCY,
            "outcome": st.just("emergency"),
            "reason": st.sampled_from(["patient-unconscious", "disaster", "other-typed"]),
            "until": NUMBERS,
        },
        optional={
            "told": DIGESTS,
            "warning": st.just("1"),
            "access": ACCESS,
            "decision": DECISIONS,
        },
    ),
    "emergency.renew": st.fixed_dictionaries(
        {**EMERGENCY, "person": NAMES, "until": NUMBERS, "told": DIGESTS, "access": ACCESS}
    ),
    "emergency.end": st.fixed_dictionaries(
        {**EMERGENCY, "person": NAMES}, optional={"told": DIGESTS, "access": ACCESS}
    ),
    "emergency.review": st.fixed_dictionaries(
        {
            **EMERGENCY,
            "person": NAMES,
            "outcome": st.sampled_from(["appropriate", "inappropriate", "unclear"]),
            "late": st.booleans(),
            "told": DIGESTS,
            "access": ACCESS,
        }
    ),
    "offline.enrol": st.fixed_dictionaries(
        {"person": NAMES, "factor": DIGESTS},
        optional={"for": NAMES, "codes": NUMBERS, "replaced": st.booleans()},
    ),
    "offline.end": st.fixed_dictionaries(
        {"person": NAMES, "for": NAMES, "factor": DIGESTS, "access": ACCESS}
    ),
    "person.join": PERSON_CHANGES,
    "person.change": PERSON_CHANGES,
    "person.leave": PERSON_CHANGES,
    "review.begin": st.fixed_dictionaries(
        {"review": NAMES, "scope": st.just("all"), "grants": NUMBERS, "with": WITH}
    ),
    "review.answer": REVIEW_ANSWERS,
    "review.lapse": REVIEW_ANSWERS,
    "review.move": st.fixed_dictionaries(
        {
            "document": NAMES.map("ReviewedGrant/{}.0001@2".format),
            "digest": DIGESTS,
            "review": NAMES,
            "grants": NUMBERS,
        },
        optional={"with": WITH},
    ),
    "review.close": st.fixed_dictionaries(
        {"review": NAMES, "counts": st.fixed_dictionaries({"lapsed": NUMBERS, "kept": NUMBERS})}
    ),
    "sign-in.attempt": OPENED_ACCOUNTS,
    "sign-in.outcome": ENDED_TRIES,
    "sign-in.limited": st.fixed_dictionaries(
        {"person": NAMES, "limit": st.just("person-place"), "network": NETWORKS},
        optional={"for": NAMES},
    ),
    "step-up.attempt": OPENED_ACCOUNTS,
    "step-up.outcome": ENDED_TRIES,
    "enrol.invite": st.fixed_dictionaries(
        {"person": NAMES, "for": NAMES, "replaced": st.booleans(), "until_ms": NUMBERS},
        optional={"access": ACCESS},
    ),
    "enrol.attempt": OPENED_ACCOUNTS,
    "enrol.outcome": st.fixed_dictionaries(
        {"person": NAMES, "attempt": NUMBERS},
        optional={
            "for": NAMES,
            "outcome": st.sampled_from(["begun", "enrolled", "refused"]),
            "because": CODES,
            "factors": st.lists(st.sampled_from(["password", "passkey"]), unique=True),
        },
    ),
    "enrol.view": st.fixed_dictionaries({"for": NAMES, "count": NUMBERS}),
    "enrol.decoy": st.just({}),
    "operator.enrol": st.fixed_dictionaries(
        {"operator": NAMES, "factor": DIGESTS, "first": st.booleans()}
    ),
    "operator.verify": st.fixed_dictionaries(
        {
            "operator": NAMES,
            "grant": st.fixed_dictionaries(
                {
                    "kinds": st.just(["operator.factor"]),
                    "subjects": st.just(["system"]),
                    "until": NUMBERS,
                }
            ),
        }
    ),
    "operator.verified": st.fixed_dictionaries(
        {
            "operator": NAMES,
            "for": NAMES,
            "outcome": st.sampled_from(["accepted", "refused", "waiting"]),
        }
    ),
    "ledger.pruned": st.fixed_dictionaries(
        {
            "log": st.just(ORIGIN),
            "intent": NUMBERS,
            "outcome": st.sampled_from(["pruned", "failed"]),
            "minimum": NUMBERS,
        },
        optional={"code": CODES},
    ),
    "ledger.prune": st.fixed_dictionaries({"log": st.just(ORIGIN), "minimum": NUMBERS}),
    "ledger.alarm": st.fixed_dictionaries({"log": st.just(ORIGIN), "code": CODES}),
    "backup.make": st.fixed_dictionaries(
        {
            "repository": DIGESTS,
            "snapshot": NAMES,
            "note": DIGESTS,
            **dict.fromkeys(("files", "logs", "rows", "size", "written"), NUMBERS),
        },
        optional={"reported": st.just(True)},
    ),
    "backup.drill": st.fixed_dictionaries(
        {"snapshot": NAMES, "milliseconds": NUMBERS, "rows": NUMBERS, "size": NUMBERS},
        optional={"reported": st.just(True)},
    ),
    "backup.restore": st.fixed_dictionaries(
        {"repository": DIGESTS, "snapshot": NAMES, "made": NAMES, "succeeded": NUMBERS}
    ),
    "log.successor": st.fixed_dictionaries(
        {
            "origin": st.just(ORIGIN),
            "snapshot": NAMES,
            "gap": st.fixed_dictionaries({"from": NUMBERS, "until": NUMBERS}),
            "known": st.fixed_dictionaries({"root": DIGESTS, "size": NUMBERS}),
            "restored": st.fixed_dictionaries({"root": DIGESTS, "size": NUMBERS}),
        }
    ),
    "clinic.new-thing": st.fixed_dictionaries({"patients": MANY, "anything": NUMBERS}),
}
"""By action: the fields of its own; the last is an action that nobody has written yet."""


def entries_of(action: str) -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for entries of one action."""
    common = st.fixed_dictionaries(
        {
            "v": st.just(1),
            "at": st.integers(0, 4_000_000_000_000).map(moment_text),
            "action": st.just(action),
            "tenant": NAMES,
            "actor": ACTORS,
        }
    )
    return st.builds(lambda one, other: {**one, **other}, common, FIELDS[action])


ENTRIES = st.sampled_from(sorted(FIELDS)).flatmap(entries_of)
"""Entries of every action."""

"""Documents are versioned, recorded and applied whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from practice import OPERATOR, TENANT, document, documents, opened
from seawall.core.errors import Conflict, Invalid, Missing, Refused
from seawall.core.policy.principal import Principal

if TYPE_CHECKING:
    from seawall.core.phi.detection import Detector


def use_case(title: str) -> dict[str, Any]:
    """Return a use case that differs by its title."""
    said = {"purpose": "treatment", "justification": "why"}
    return document("UseCase", "changing", title=title, **said)


async def test_applying_again_changes_nothing(detector: Detector) -> None:
    """Documents that are as they stand are unchanged, and leave no entry."""
    practice = await opened(detector)
    before = len(practice.entries())

    applied = await practice.documents.apply(OPERATOR, documents())

    assert {("unchanged", None, 1)} == {(a.change, a.entry, a.version) for a in applied}
    assert before == len(practice.entries())


async def test_change_is_a_new_version_with_an_entry(detector: Detector) -> None:
    """A changed document is the next version; its entry names version, digest and actor."""
    practice = await opened(detector)

    applied = [
        (await practice.documents.apply(OPERATOR, [use_case(title)]))[0] for title in ("a", "b")
    ]
    entry = practice.entries()[-1]

    assert [(1, "created"), (2, "changed")] == [(one.version, one.change) for one in applied]
    assert ("UseCase/changing@2", applied[1].entry) == (
        entry["document"],
        len(practice.entries()) - 1,
    )
    assert {"kind": "operator", "name": "operator"} == entry["actor"]


async def test_every_version_is_kept(detector: Detector) -> None:
    """The history holds every version, oldest first (45 CFR 164.316(b)(2)(i))."""
    practice = await opened(detector)
    for title in ("a", "b", "a"):
        await practice.documents.apply(OPERATOR, [use_case(title)])

    history = await practice.documents.history(TENANT, "UseCase", "changing")

    assert [(1, "a"), (2, "b"), (3, "a")] == [
        (one.version, one.spec.model_dump()["title"]) for one in history
    ]


@pytest.mark.parametrize("kind", ["UseCase", "Nothing"])
async def test_history_of_nothing_is_missing(kind: str, detector: Detector) -> None:
    """A document that was never applied has no history."""
    practice = await opened(detector)

    with pytest.raises(Missing) as missing:
        await practice.documents.history(TENANT, kind, "nothing")

    assert "document-unknown" == missing.value.code


async def test_one_invalid_document_stops_all(detector: Detector) -> None:
    """If one document is invalid, none of the list is applied."""
    practice = await opened(detector)
    before = len(practice.entries())

    with pytest.raises(Invalid):
        await practice.documents.apply(OPERATOR, [use_case("a"), document("UseCase", "b")])

    assert before == len(practice.entries())


async def test_kinds_are_applied_in_their_order(detector: Detector) -> None:
    """Whatever the order given, agreements come before what rests on them."""
    practice = await opened(detector)
    other = Principal("operator", "operator", TENANT)
    changed = [use_case("a"), {**documents()[0], "name": "second"}]

    applied = await practice.documents.apply(other, changed)

    assert ["Agreement", "UseCase"] == [one.kind for one in applied]


async def test_documents_are_loaded_after_a_restart(detector: Detector) -> None:
    """A new process stands where the old one stood, in the newest versions."""
    practice = await opened(detector)
    await practice.documents.apply(OPERATOR, [use_case("a")])
    held = {one.reference for one in practice.documents.register(TENANT)}
    practice.begin()

    await practice.documents.load()

    assert held == {one.reference for one in practice.documents.register(TENANT)}
    assert [TENANT] == practice.documents.tenants()


async def test_version_that_exists_already_is_a_conflict(detector: Detector) -> None:
    """Two processes that make the same version: the second is told, and stays as it was."""
    practice = await opened(detector)
    first = practice.documents
    practice.begin()
    await practice.documents.load()
    await first.apply(OPERATOR, [use_case("a")])

    with pytest.raises(Conflict) as conflict:
        await practice.documents.apply(OPERATOR, [use_case("b")])

    assert "version-exists" == conflict.value.code


async def test_unknown_tenant_has_an_empty_register(detector: Detector) -> None:
    """A tenant that does not exist has no documents, so every decision about it is no."""
    practice = await opened(detector)

    assert [] == list(practice.documents.register("nowhere"))


async def test_a_refused_change_leaves_the_rest_unwritten(detector: Detector) -> None:
    """Retention that is lowered refuses the whole folder, whatever stands before it."""
    practice = await opened(detector)
    raised, lowered = (document("Retention", "it", years=years) for years in (8, 7))
    await practice.documents.apply(OPERATOR, [raised])
    before = len(practice.entries())

    with pytest.raises(Refused) as caught:
        await practice.documents.apply(OPERATOR, [use_case("new"), lowered])
    with pytest.raises(Refused):
        await practice.documents.apply(
            OPERATOR, [document("Retention", "x", years=years) for years in (9, 6)]
        )

    assert ("retention-lowered", before) == (caught.value.code, len(practice.entries()))

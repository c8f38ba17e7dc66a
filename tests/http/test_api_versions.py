"""Versions and pages: what is unchanged is not sent, what changed is not overwritten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_scene import CLIENT, PERSON, Scene, code_of
from seawall.http.api.documents import documents_room

if TYPE_CHECKING:
    import httpx

PATH = "/api/documents/Retention/tenant"


def _holds(count: int) -> list[dict[str, Any]]:
    spec = {"matter": "docket 7", "placed": "2026-01-01"}
    return [{"kind": "LegalHold", "name": f"hold-{at}", "spec": spec} for at in range(count)]


@pytest.fixture
async def scene() -> Scene:
    """Return a scene with the documents' routes."""
    made = Scene()
    return await made.begin(documents_room(made.api, made.documents))


async def _put(scene: Scene, years: int, **headers: str) -> httpx.Response:
    said = {name.replace("_", "-"): value for name, value in headers.items()}
    spec = {"years": years}
    return await scene.send("PUT", PATH, {**scene.person(), **said}, {"spec": spec})


async def test_a_document_is_made_and_changed_by_version(scene: Scene) -> None:
    """Each change names the version that it is of, and answers with the next one."""
    made = await _put(scene, 7)
    changed = await _put(scene, 8, If_Match=made.headers["ETag"])
    assert [(201, '"1"'), (200, '"2"')] == [
        (one.status_code, one.headers["ETag"]) for one in (made, changed)
    ]


async def test_a_change_without_a_version_is_refused(scene: Scene) -> None:
    """It would overwrite what its sender has not seen."""
    await _put(scene, 7)
    reply = await _put(scene, 8)
    assert (428, "version-needed") == (reply.status_code, code_of(reply))


@pytest.mark.parametrize(
    "headers", [{"If_Match": '"2"'}, {"If_Match": 'W/"1"'}, {"If_None_Match": "*"}]
)
async def test_a_change_of_another_version_is_refused(
    scene: Scene, headers: dict[str, str]
) -> None:
    """A weak mark names none; nor is there nothing here."""
    await _put(scene, 7)
    reply = await _put(scene, 8, **headers)
    assert (412, "version-changed") == (reply.status_code, code_of(reply))


async def test_a_version_of_nothing_is_refused(scene: Scene) -> None:
    """Who thinks that there is one has seen something else."""
    reply = await _put(scene, 7, If_Match='"1"')
    assert (412, "version-changed") == (reply.status_code, code_of(reply))


async def test_of_two_changes_of_one_version_one_is_made(scene: Scene) -> None:
    """The other's sender has to read again."""
    etag = (await _put(scene, 7)).headers["ETag"]
    replies = await asyncio.gather(*(_put(scene, 8 + at, If_Match=etag) for at in range(5)))
    assert [200, 412, 412, 412, 412] == sorted(one.status_code for one in replies)


async def test_what_is_unchanged_is_not_sent(scene: Scene) -> None:
    """The answer is 304, without a body, with the version's mark; a change is sent."""
    etag = (await _put(scene, 7)).headers["ETag"]
    same = await scene.send("GET", PATH, {**scene.person(), "If-None-Match": f'"9", W/{etag}'})
    other = await scene.send("GET", PATH, {**scene.person(), "If-None-Match": '"9"'})
    assert (304, b"", etag, 200, 7) == (
        same.status_code,
        same.content,
        same.headers["ETag"],
        other.status_code,
        other.json()["spec"]["years"],
    )


async def test_a_documents_versions_are_shown_in_order(scene: Scene) -> None:
    """The oldest first, a page after the other."""
    etag = (await _put(scene, 7)).headers["ETag"]
    await _put(scene, 8, If_Match=etag)
    pages = await _pages(scene, f"{PATH}/history?limit=1")
    assert [[7], [8]] == [[one["spec"]["years"] for one in page] for page in pages]


async def _pages(scene: Scene, path: str | None) -> list[list[dict[str, Any]]]:
    found = []
    while path is not None:
        reply = await scene.send("GET", path, scene.person())
        page = reply.json()
        assert (page["next"] is None) == ("Link" not in reply.headers)
        found.append(page["items"])
        path = page["next"]
    return found


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(count=st.integers(0, 9), limit=st.integers(1, 5))
def test_the_pages_together_are_the_list(count: int, limit: int) -> None:
    """Whatever the limit: each thing once, none longer than the limit, none empty but the first."""

    async def work() -> list[list[dict[str, Any]]]:
        """Walk through the pages."""
        scene = Scene()
        await scene.begin(documents_room(scene.api, scene.documents))
        if holds := _holds(count):
            reply = await scene.send("POST", "/api/documents", scene.person(), holds)
            assert 200 == reply.status_code, reply.text
        return await _pages(scene, f"/api/documents?kind=LegalHold&limit={limit}")

    pages = asyncio.run(work())
    names = [one["name"] for page in pages for one in page]
    assert [f"hold-{at}" for at in range(count)] == names
    assert all(len(page) == limit for page in pages[:-1])
    assert max(1, -(-count // limit)) == len(pages)


@pytest.mark.parametrize("change", ["kind=Client", "limit=1&kind=UseCase", "kind=LegalHold&x=y"])
async def test_a_mark_is_for_its_own_question(scene: Scene, change: str) -> None:
    """Neither of another list, nor with anything else that is asked."""
    after = await _mark(scene)
    reply = await scene.send("GET", f"/api/documents?{change}&after={after}", scene.person())
    assert (400, "page-invalid") == (reply.status_code, code_of(reply))


async def test_a_mark_is_its_callers_own(scene: Scene) -> None:
    """Another caller's mark is none."""
    path = f"/api/documents?kind=LegalHold&limit=1&after={await _mark(scene)}"
    own = await scene.send("GET", path, scene.person())
    other = await scene.send("GET", path, scene.client())
    assert (200, "page-invalid") == (own.status_code, code_of(other))


@pytest.mark.parametrize("after", ["A", "AAAA", "x" * 64, "~", "%00", "A" * 1001])
async def test_a_mark_that_was_not_given_is_none(scene: Scene, after: str) -> None:
    """However it looks."""
    reply = await scene.send("GET", f"/api/documents?after={after}", scene.person())
    assert 400 == reply.status_code


async def _mark(scene: Scene) -> str:
    await scene.send("POST", "/api/documents", scene.person(), _holds(3))
    reply = await scene.send("GET", "/api/documents?kind=LegalHold&limit=1", scene.person())
    return str(reply.json()["next"]).rpartition("after=")[2]


async def test_persons_are_seen_by_who_may_see_them(scene: Scene) -> None:
    """They are in no list of documents but their own."""
    everything = (await scene.send("GET", "/api/documents", scene.person())).json()
    persons = (await scene.send("GET", "/api/documents?kind=User", scene.person())).json()
    assert ([CLIENT], [PERSON]) == (
        [one["name"] for one in everything["items"]],
        [one["name"] for one in persons["items"]],
    )
    assert "view-persons" == scene.policies.asked[-1].action.value

"""Who comes back from which provider is who, and nobody of another issuer or tenant."""

from __future__ import annotations

import pytest

from federation_scene import OTHER, Federation
from seawall.core.errors import Error


async def came_back(scene: Federation, provider: str, subject: str) -> str:
    """Return as whom somebody comes in by a provider, or the refusal's code."""
    scene.there[provider].subject = subject
    going = await scene.federate.begin(provider, "/", "net-1")
    asked = scene.there[provider].asked[-1]
    try:
        back = await scene.federate.finish(
            going.ticket,
            provider=provider,
            state=asked.state,
            code="c",
            issuer=None,
            network="net-1",
        )
    except Error as error:
        return error.code
    who = (await scene.sessions.identify(back.session, "net-1")).principal
    return f"{who.tenant}/{who.name}"


@pytest.mark.parametrize(
    ("provider", "subject", "who"),
    [
        ("home", "ann", "clinic/ann"),
        ("other", "ann", "sign-in-refused"),
        ("school", "ann", "sign-in-refused"),
        ("school", "guest", "sign-in-refused"),
        ("home", "guest", "sign-in-refused"),
    ],
)
async def test_a_subject_is_one_issuers_in_one_tenant(
    provider: str, subject: str, who: str
) -> None:
    """The same subject at another provider, or for another tenant, is nobody."""
    assert who == await came_back(await Federation().begin(), provider, subject)


async def test_two_issuers_with_one_subject_are_two_persons() -> None:
    """Each comes in as who their own document names."""
    scene = await Federation().begin()
    await scene.join("clinic", "bea", OTHER)

    assert "clinic/bea" == await came_back(scene, "other", "bea")
    assert "sign-in-refused" == await came_back(scene, "home", "bea")


async def test_what_binds_a_flow_is_not_guessable_and_its_own() -> None:
    """State, nonce and verifier have 256 bits, differ, and are new for each flow."""
    scene = await Federation().begin()
    for _ in range(2):
        await scene.federate.begin("home", "/", "net-1")
    asked = scene.there["home"].asked
    secrets = [text for one in asked for text in (one.state, one.nonce, one.verifier)]

    assert (6, {43}) == (len(set(secrets)), {len(text) for text in secrets})

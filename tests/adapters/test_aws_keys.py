"""AWS KMS as the key manager: what is wrapped where, what is refused, what is taken up again.

Against two simulators of KMS, whole and sabotaged, and against servers that answer wrongly.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kms_simulators import OPERATOR, SIMULATORS, Before, Kms, error_of, opened, refusal, running
from seawall.adapters.keys.aws import AwsKeys
from seawall.app.ports import Secret
from seawall.core.errors import Error, Invalid, Missing, Refused, Tampered, Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "tenant/clinic"
SECRET: Final = bytes(range(32))
CONTEXT: Final = "clinic/data/1"


@pytest.fixture(params=SIMULATORS)
def kms(request: pytest.FixtureRequest) -> Iterator[Kms]:
    """Yield each simulator, with the clinic's root key."""
    with opened(request.param) as made:
        made.operator.make(NAME)
        yield made


@pytest.fixture
def ministack() -> Iterator[Kms]:
    """Yield one simulator, for what is about us and not about it."""
    with opened("ministack") as made:
        made.operator.make(NAME)
        yield made


DISABLED: Final = (Refused, "root-key-disabled")
MISSING: Final = (Missing, "root-key-missing")
TAMPERED: Final = (Tampered, "wrapped-key-tampered")
UNAVAILABLE: Final = (Unavailable, "key-manager-unavailable")


# --- what a root key is in KMS --------------------------------------------------


def test_each_version_is_a_key_of_its_own(kms: Kms) -> None:
    """Symmetric, with material of KMS's own, and found by its alias."""
    kms.operator.rotate(NAME)
    first, second = kms.metadata(1), kms.metadata(2)
    kinds = [(one["KeySpec"], one["KeyUsage"], one["Origin"]) for one in (first, second)]
    assert [("SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT", "AWS_KMS")] * 2 == kinds
    assert first["KeyId"] != second["KeyId"]


def test_tags_tell_what_a_key_is_for(kms: Kms) -> None:
    """By them policies know our keys, and people what they pay for."""
    tags = kms.client.list_resource_tags(KeyId=kms.metadata(1)["KeyId"])["Tags"]
    expected = {
        "seawall": kms.prefix,
        "seawall-purpose": "root-key",
        "seawall-name": NAME,
        "seawall-version": "1",
    }
    assert expected == {tag["TagKey"]: tag["TagValue"] for tag in tags}


def test_names_with_full_stops_and_underscores_share_no_alias(kms: Kms) -> None:
    """An alias takes no full stop; each name has an alias of its own all the same."""
    names = ["tenant/a.b", "tenant/a_b", "tenant/a_db", "tenant/a__b", "tenant/a-b"]
    wrapped = {}
    for name in names:
        kms.operator.make(name)
        wrapped[name] = kms.keys.wrap(name, SECRET, CONTEXT)
    assert [SECRET] * 5 == [kms.keys.unwrap(name, wrapped[name], CONTEXT) for name in names]
    assert TAMPERED == error_of(lambda: kms.keys.unwrap(names[0], wrapped[names[1]], CONTEXT))


@given(st.lists(st.text("ab._-d0", min_size=1, max_size=8), min_size=2, max_size=2, unique=True))
def test_different_names_never_share_an_alias(names: list[str]) -> None:
    """Whatever the names of two tenants, and the alias is one that KMS takes."""
    roots = AwsKeys(None, prefix="seawall")._roots
    first, second = (roots.alias(f"tenant/{name}", 1) for name in names)
    assert first != second
    assert not set(first) - set("abcdefghijklmnopqrstuvwxyz0123456789/_-")


def test_one_name_that_begins_like_another_is_another(kms: Kms) -> None:
    """Versions of `clinic-2` are none of `clinic`."""
    kms.operator.make("tenant/clinic-2")
    kms.operator.rotate("tenant/clinic-2")
    assert [1] == [one.version for one in kms.keys.versions(NAME)]


def test_a_name_that_no_tenant_has_is_no_root_key(ministack: Kms) -> None:
    """Neither the service nor an operator asks KMS for it."""
    for name in ("tenant/Clinic", "tenant/a:b", "tenant/*", ""):
        assert MISSING == error_of(partial(ministack.keys.versions, name))
        assert MISSING == error_of(partial(ministack.operator.make, name))


# --- wrapping -------------------------------------------------------------------


def test_a_foreign_key_id_in_an_answer_is_not_believed(ministack: Kms) -> None:
    """Whichever key encrypted or decrypted, it was not the one that was asked for."""
    foreign = ministack.client.create_key()["KeyMetadata"]["Arn"]

    class Foreign(Before):
        """KMS, as if another key had done it."""

        def encrypt(self, **fields: Any) -> Any:
            """Encrypt."""
            return {**self.real.encrypt(**fields), "KeyId": foreign}

        def decrypt(self, **fields: Any) -> Any:
            """Decrypt."""
            return {**self.real.decrypt(**fields), "KeyId": foreign}

    wrapped = ministack.keys.wrap(NAME, SECRET, CONTEXT)
    with opened("ministack", Foreign, ministack.prefix) as lying:
        assert UNAVAILABLE == error_of(lambda: lying.keys.wrap(NAME, SECRET, CONTEXT))
        assert TAMPERED == error_of(lambda: lying.keys.unwrap(NAME, wrapped, CONTEXT))


@pytest.mark.parametrize("plaintext", [b"", SECRET[:-1], SECRET + b"\0"])
def test_what_is_no_key_is_not_given_out(ministack: Kms, plaintext: bytes) -> None:
    """Only 32 bytes were ever wrapped."""

    class Short(Before):
        """KMS, as if something else had been wrapped."""

        def decrypt(self, **fields: Any) -> Any:
            """Decrypt."""
            return {**self.real.decrypt(**fields), "Plaintext": plaintext}

    wrapped = ministack.keys.wrap(NAME, SECRET, CONTEXT)
    with opened("ministack", Short, ministack.prefix) as lying:
        assert TAMPERED == error_of(lambda: lying.keys.unwrap(NAME, wrapped, CONTEXT))


@pytest.mark.parametrize("context", ["clinic/data/2", "clinic/index/1", "hospital/data/1"])
def test_another_context_opens_nothing(kms: Kms, context: str) -> None:
    """The context is KMS's encryption context, which it authenticates."""
    wrapped = kms.keys.wrap(NAME, SECRET, CONTEXT)
    assert TAMPERED == error_of(lambda: kms.keys.unwrap(NAME, wrapped, context))


@pytest.mark.parametrize("blob", [b"", b"\0", b"x" * 200, b"x" * 6145])
def test_what_kms_never_wrapped_does_not_open(kms: Kms, blob: bytes) -> None:
    """Nothing, too little, garbage and too much alike."""
    assert TAMPERED == error_of(lambda: kms.keys.unwrap(NAME, Secret(1, blob), CONTEXT))


@pytest.mark.parametrize("version", [-1, 0, 2, 10**9])
def test_a_version_that_does_not_exist_is_missing(kms: Kms, version: int) -> None:
    """None is guessed."""
    wrapped = kms.keys.wrap(NAME, SECRET, CONTEXT)
    assert MISSING == error_of(
        lambda: kms.keys.unwrap(NAME, Secret(version, wrapped.blob), CONTEXT)
    )


def test_a_disabled_key_is_not_used_whatever_the_server_would_do(kms: Kms) -> None:
    """At once, since nothing of its state is remembered; and used again once it is enabled."""
    wrapped = kms.keys.wrap(NAME, SECRET, CONTEXT)
    key_id = kms.metadata(1)["KeyId"]
    kms.client.disable_key(KeyId=key_id)
    assert DISABLED == error_of(lambda: kms.keys.unwrap(NAME, wrapped, CONTEXT))
    assert DISABLED == error_of(lambda: kms.keys.wrap(NAME, SECRET, CONTEXT))
    assert ["disabled"] == [one.state for one in kms.keys.versions(NAME)]
    kms.client.enable_key(KeyId=key_id)
    assert SECRET == kms.keys.unwrap(NAME, wrapped, CONTEXT)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("NotFoundException", MISSING),
        ("DisabledException", DISABLED),
        ("KMSInvalidStateException", DISABLED),
    ],
)
def test_what_happens_between_looking_and_using_is_the_servers_to_say(
    ministack: Kms, said: str, expected: tuple[type[Error], str]
) -> None:
    """The key was enabled a moment ago; KMS, which looks again itself, has the last word."""

    class Meanwhile(Before):
        """KMS, in which the key was ended after it was looked at."""

        def encrypt(self, **_fields: Any) -> Any:
            """Refuse."""
            raise refusal(said, "Encrypt")

    with opened("ministack", Meanwhile, ministack.prefix) as kms:
        assert expected == error_of(lambda: kms.keys.wrap(NAME, SECRET, CONTEXT))


def test_a_root_key_that_was_never_made_is_missing(ministack: Kms) -> None:
    """To wrap under it, and to look at it, makes none."""
    assert MISSING == error_of(lambda: ministack.keys.wrap("tenant/nobody", SECRET, CONTEXT))
    assert MISSING == error_of(lambda: ministack.keys.versions("tenant/nobody"))


def test_making_again_changes_nothing(ministack: Kms) -> None:
    """A second `make` leaves the key and its version as they are."""
    before = ministack.metadata(1)["KeyId"]
    ministack.operator.make(NAME)
    assert [1] == [one.version for one in ministack.keys.versions(NAME)]
    assert before == ministack.metadata(1)["KeyId"]


def test_nothing_is_wrapped_under_an_older_version_instead(kms: Kms) -> None:
    """If the newest is disabled, the one before it is not used in its place."""
    kms.operator.rotate(NAME)
    kms.client.disable_key(KeyId=kms.metadata(2)["KeyId"])
    assert DISABLED == error_of(lambda: kms.keys.wrap(NAME, SECRET, CONTEXT))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("KeyState", "Unavailable"),
        ("KeyState", "PendingReplicaDeletion"),
        ("KeyState", "a state of next year"),
        ("Origin", "EXTERNAL"),
        ("KeySpec", "RSA_2048"),
        ("KeyUsage", "SIGN_VERIFY"),
        ("MultiRegion", True),
    ],
)
def test_a_key_that_is_not_as_we_make_them_is_not_used(
    ministack: Kms, field: str, value: object
) -> None:
    """A state we do not know, material from elsewhere, a copy in another region: none is ours."""

    class Strange(Before):
        """KMS, with an alias that was moved to another key."""

        def describe_key(self, **fields: Any) -> Any:
            """Describe."""
            found = self.real.describe_key(**fields)["KeyMetadata"]
            return {"KeyMetadata": {**found, field: value}}

    with opened("ministack", Strange, ministack.prefix) as moved:
        assert DISABLED == error_of(lambda: moved.keys.wrap(NAME, SECRET, CONTEXT))


# --- settings -------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "aws", "aws/seawall", "a b", "a//b", "/a", "a/", "a:b"])
def test_a_prefix_that_kms_does_not_take_is_refused(prefix: str) -> None:
    """At the start, and not at the first key; `aws` is AWS's own."""
    assert (Invalid, "wrong-setting") == error_of(lambda: AwsKeys(None, prefix=prefix))


def test_the_operator_has_credentials_of_its_own() -> None:
    """Those of the profile that the settings name."""
    simulator = running("ministack")
    clients = [simulator.client(), simulator.client(OPERATOR)]
    used = [client._request_signer._credentials.access_key for client in clients]
    assert ["seawall", "operator"] == used

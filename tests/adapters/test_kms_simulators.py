"""The holes of the KMS simulators are still there: what the tests plug, KMS itself does not need.

One of these that fails is good news: a simulator was mended, and its plug can go.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError

from kms_simulators import SIMULATORS, new_prefix, running

SECRET: Final = bytes(range(32))
CONTEXT: Final = {"seawall": "clinic", "name": "tenant/clinic"}


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Any:
    """Return the plain client of a simulator."""
    return running(request.param).client()


moto = pytest.mark.parametrize("client", ["moto"], indirect=True)
ministack = pytest.mark.parametrize("client", ["ministack"], indirect=True)
both = pytest.mark.parametrize("client", SIMULATORS, indirect=True)


def new_key(client: Any) -> str:
    """Make a key and return its id."""
    return str(client.create_key()["KeyMetadata"]["KeyId"])


def encrypted(client: Any, key_id: str) -> bytes:
    """Encrypt under a key."""
    answer = client.encrypt(KeyId=key_id, Plaintext=SECRET, EncryptionContext=CONTEXT)
    return bytes(answer["CiphertextBlob"])


def decrypted(client: Any, key_id: str, blob: bytes) -> bytes:
    """Decrypt under a key."""
    answer = client.decrypt(KeyId=key_id, CiphertextBlob=blob, EncryptionContext=CONTEXT)
    return bytes(answer["Plaintext"])


@moto
@pytest.mark.parametrize("is_scheduled", [False, True])
def test_moto_uses_keys_that_are_disabled(client: Any, *, is_scheduled: bool) -> None:
    """KMS answers DisabledException, and KMSInvalidStateException before a deletion."""
    key_id = new_key(client)
    blob = encrypted(client, key_id)
    if is_scheduled:
        client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    else:
        client.disable_key(KeyId=key_id)
    assert SECRET == decrypted(client, key_id, blob)
    assert encrypted(client, key_id)


@moto
def test_moto_takes_the_wrong_key_for_a_forbidden_one(client: Any) -> None:
    """KMS answers IncorrectKeyException."""
    blob = encrypted(client, new_key(client))
    with pytest.raises(ClientError) as caught:
        decrypted(client, new_key(client), blob)
    assert "AccessDeniedException" == caught.value.response["Error"]["Code"]


@ministack
def test_ministack_opens_what_was_changed(client: Any) -> None:
    """KMS answers InvalidCiphertextException."""
    key_id = new_key(client)
    blob = encrypted(client, key_id)
    changed = blob[:-1] + bytes([blob[-1] ^ 1])
    assert SECRET[:-1] == decrypted(client, key_id, changed)[:-1]


@ministack
def test_ministack_opens_with_the_wrong_key(client: Any) -> None:
    """KMS answers IncorrectKeyException; here something comes out, which is not the secret."""
    blob = encrypted(client, new_key(client))
    assert SECRET != decrypted(client, new_key(client), blob)


@both
def test_simulators_disable_what_awaits_deletion(client: Any) -> None:
    """KMS answers KMSInvalidStateException; here the key is disabled, and awaits nothing."""
    key_id = new_key(client)
    client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    client.disable_key(KeyId=key_id)
    assert "Disabled" == client.describe_key(KeyId=key_id)["KeyMetadata"]["KeyState"]


@both
def test_simulators_schedule_a_deletion_twice(client: Any) -> None:
    """KMS answers KMSInvalidStateException; here the later date counts."""
    key_id = new_key(client)
    client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=7)
    said = client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=9)["DeletionDate"]
    assert said > datetime.now(UTC) + timedelta(days=8)


@both
def test_simulators_list_all_aliases_in_one_page(client: Any) -> None:
    """KMS lists at most as many as it is asked for, and says that there are more."""
    prefix, key_id = new_prefix(), new_key(client)
    for number in range(2):
        client.create_alias(AliasName=f"alias/{prefix}/{number}", TargetKeyId=key_id)
    answer = client.list_aliases(Limit=1)
    assert (True, False) == (len(answer["Aliases"]) > 1, answer["Truncated"])

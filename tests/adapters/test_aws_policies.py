"""The policies that the how-to page shows allow what is asked of KMS, and not much more.

No simulator evaluates the conditions of KMS. So each request is written down as it is
made, and judged here as IAM judges it: by action, resource and condition keys.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import pytest

from house.sources import ROOT
from kms_simulators import Before, Kms, opened
from seawall.adapters.keys.aws_policies import operator_policy, service_policy

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME: Final = "tenant/clinic"
REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
PAGE: Final = ROOT / "docs" / "how-to" / "keep-keys-in-aws-kms.md"

Request = tuple[str, str, dict[str, str]]
"""An action, a resource, and the condition keys of a request."""


class Judged(Before):
    """A client that writes down each request as IAM sees it."""

    requests: list[Request]

    def __getattr__(self, name: str) -> Any:
        """Return the real operation, which is written down."""

        def written_down(**fields: Any) -> Any:
            """Write down, then do it."""
            self.requests += self.seen(name, fields)
            return getattr(self.real, name)(**fields)

        return written_down if name != "close" else self.real.close

    def seen(self, name: str, fields: dict[str, Any]) -> Iterator[Request]:
        """Yield what IAM judges of a request; an alias is judged as the key that it names."""
        action = "kms:" + "".join(part.capitalize() for part in name.split("_"))
        key_id = fields.get("KeyId") or fields.get("TargetKeyId")
        keys: dict[str, str] = {}
        if name == "create_key":
            tags = {f"aws:RequestTag/{tag['TagKey']}": tag["TagValue"] for tag in fields["Tags"]}
            kind = {
                f"kms:{'KeyOrigin' if one == 'Origin' else one}": fields[one]
                for one in ("KeySpec", "KeyUsage", "Origin")
            }
            yield "kms:TagResource", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/new", tags
            keys = {**tags, **kind}
        if key_id and str(key_id).startswith("alias/"):
            keys["kms:RequestAlias"] = key_id
        for one, value in fields.get("EncryptionContext", {}).items():
            keys[f"kms:EncryptionContext:{one}"] = value
        resource = "*"
        if key_id:
            try:
                resource = self.real.describe_key(KeyId=key_id)["KeyMetadata"]["Arn"]
            except self.real.exceptions.NotFoundException:
                return
            tags = self.real.list_resource_tags(KeyId=resource)["Tags"]
            keys |= {f"aws:ResourceTag/{tag['TagKey']}": tag["TagValue"] for tag in tags}
        yield action, resource, keys
        if name == "create_alias":
            yield action, f"arn:aws:kms:{REGION}:{ACCOUNT}:{fields['AliasName']}", {}


def listed(value: Any) -> list[Any]:
    """Return one or several as a list."""
    return value if isinstance(value, list) else [value]


def applies(statement: dict[str, Any], request: Request) -> bool:
    """Return whether a statement is about a request; an absent condition key never matches."""
    action, resource, keys = request
    conditions = statement.get("Condition", {})
    assert set(conditions) <= {"StringEquals", "StringLike"}
    return (
        any(fnmatchcase(action, one) for one in listed(statement["Action"]))
        and any(fnmatchcase(resource, one) for one in listed(statement["Resource"]))
        and all(
            key in keys and any(fnmatchcase(keys[key], one) for one in listed(wanted))
            for tests in conditions.values()
            for key, wanted in tests.items()
        )
    )


def is_allowed(policy: str, request: Request) -> bool:
    """Return what IAM decides where there is no other policy."""
    effects = {one["Effect"] for one in json.loads(policy)["Statement"] if applies(one, request)}
    return effects == {"Allow"}


@pytest.fixture(scope="module")
def asked() -> tuple[Kms, list[Request], list[Request]]:
    """Do all that the service and an operator do; return what each asked."""
    seen: list[list[Request]] = []

    def before(client: Any) -> Any:
        """Write down what a client asks."""
        judged = Judged(client)
        judged.requests = []
        seen.append(judged.requests)
        return judged

    with opened("ministack", before) as kms:
        kms.client.create_key(Description="somebody else's")
        for name in (NAME, "root"):
            kms.operator.make(name)
            wrapped = kms.keys.wrap(name, bytes(32), "clinic/data/1")
            kms.operator.rotate(name)
            kms.keys.unwrap(name, wrapped, "clinic/data/1")
            kms.keys.versions(name)
            kms.operator.destroy(name)
    return kms, seen[0], seen[1]


Asked = tuple[Kms, list[Request], list[Request]]


def test_the_service_may_do_what_it_does(asked: Asked) -> None:
    """Each of its requests is allowed, and no action is in its policy that it never needs."""
    kms, requests, _ = asked
    policy = service_policy(REGION, ACCOUNT, kms.prefix)
    assert [] == [one for one in requests if not is_allowed(policy, one)]
    assert granted(policy) == {action for action, _, _ in requests}


def test_an_operator_may_do_what_an_operator_does(asked: Asked) -> None:
    """Each of the requests is allowed, and no action is in the policy that is never needed."""
    kms, _, requests = asked
    policy = operator_policy(REGION, ACCOUNT, kms.prefix)
    assert [] == [one for one in requests if not is_allowed(policy, one)]
    assert granted(policy) == {action for action, _, _ in requests}


def granted(policy: str) -> set[str]:
    """Return the actions that a policy allows."""
    statements = json.loads(policy)["Statement"]
    return {action for one in statements if one["Effect"] == "Allow" for action in one["Action"]}


def test_neither_may_do_what_the_other_does(asked: Asked) -> None:
    """Whoever opens destroys nothing, and whoever destroys opens nothing; both may look."""
    kms, service, operator = asked
    service_may = service_policy(REGION, ACCOUNT, kms.prefix)
    operator_may = operator_policy(REGION, ACCOUNT, kms.prefix)
    both = {"kms:ListAliases", "kms:DescribeKey"}
    assert both >= {one[0] for one in operator if is_allowed(service_may, one)}
    assert both >= {one[0] for one in service if is_allowed(operator_may, one)}


def test_the_service_is_kept_to_our_aliases_and_context(asked: Asked) -> None:
    """By a key's id, under another prefix, or without our context, nothing is wrapped or opened."""
    kms, requests, _ = asked
    policy = service_policy(REGION, ACCOUNT, kms.prefix)
    action, resource, keys = next(one for one in requests if one[0] == "kms:Decrypt")
    assert is_allowed(policy, (action, resource, keys))
    for key, other in (
        ("kms:RequestAlias", "alias/other/tenant/clinic/1"),
        ("kms:EncryptionContext:name", "another"),
        ("kms:EncryptionContext:seawall", ""),
    ):
        without = {name: value for name, value in keys.items() if name != key}
        assert not is_allowed(policy, (action, resource, without))
        assert not is_allowed(policy, (action, resource, {**keys, key: other}))


def test_an_operator_is_kept_to_our_keys(asked: Asked) -> None:
    """No key without our tag is named, disabled or deleted, and none of another kind is made."""
    kms, _, requests = asked
    policy = operator_policy(REGION, ACCOUNT, kms.prefix)
    tag = "aws:ResourceTag/seawall"
    ours = [one for one in requests if tag in one[2]]
    for action in ("kms:CreateAlias", "kms:DisableKey", "kms:ScheduleKeyDeletion"):
        _, resource, keys = next(one for one in ours if one[0] == action)
        assert not is_allowed(policy, (action, resource, {**keys, tag: "another"}))
    _, resource, keys = next(one for one in requests if one[0] == "kms:CreateKey")
    assert not is_allowed(
        policy, ("kms:CreateKey", resource, {**keys, "kms:KeyOrigin": "EXTERNAL"})
    )


@pytest.mark.parametrize(
    "action",
    ["Decrypt", "ReEncryptFrom", "CreateGrant", "PutKeyPolicy", "CancelKeyDeletion", "EnableKey"],
)
def test_an_operator_is_refused_whatever_another_policy_says(action: str) -> None:
    """What would open, or undo a destruction, is denied and not only not allowed."""
    statements = json.loads(operator_policy(REGION, ACCOUNT))["Statement"]
    request: Request = (f"kms:{action}", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1", {})
    assert "Deny" in {one["Effect"] for one in statements if applies(one, request)}


def test_the_page_shows_these_policies() -> None:
    """Word for word, for an account that does not exist."""
    page = PAGE.read_text("utf-8")
    for policy in (service_policy, operator_policy):
        assert f"```json\n{policy('us-east-1', '123456789012')}```" in page

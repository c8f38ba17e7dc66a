"""What the service and an operator may do in AWS KMS: the policies that the how-to page shows.

The service wraps and unwraps under our aliases and with our context, and can neither
make, change nor delete a key. An operator makes, names and deletes keys, and may open
nothing and undo no deletion: neither alone reads a record and covers the traces.
45 CFR 164.308(a)(4)(ii)(B), 164.312(a)(1).
"""

from __future__ import annotations

import json
from typing import Any


def service_policy(region: str, account: str, prefix: str = "seawall") -> str:
    """Return the policy of the service's role, in JSON.

    Its conditions need nothing that AWS takes minutes to learn, as tags and new aliases do.
    """
    aliases = {"kms:RequestAlias": f"alias/{prefix}/*"}
    context = {
        "kms:EncryptionContext:seawall": "?*",
        "kms:EncryptionContext:name": ["root", "tenant/*"],
    }
    return _policy(
        _allow("FindRootKeys", ["kms:ListAliases"], "*"),
        _allow("LookAtRootKeys", ["kms:DescribeKey"], _keys(region, account), StringLike=aliases),
        _allow(
            "WrapAndUnwrap",
            ["kms:Encrypt", "kms:Decrypt"],
            _keys(region, account),
            StringLike={**aliases, **context},
        ),
    )


def operator_policy(region: str, account: str, prefix: str = "seawall") -> str:
    """Return the policy of an operator's role, in JSON."""
    keys, tagged = _keys(region, account), {"aws:ResourceTag/seawall": prefix}
    kind = {
        "kms:KeySpec": "SYMMETRIC_DEFAULT",
        "kms:KeyUsage": "ENCRYPT_DECRYPT",
        "kms:KeyOrigin": "AWS_KMS",
    }
    marked = {"aws:RequestTag/seawall": prefix}
    looking = ["kms:DescribeKey", "kms:ListResourceTags"]
    ending = ["kms:CreateAlias", "kms:DisableKey", "kms:ScheduleKeyDeletion"]
    undoing = ["kms:CancelKeyDeletion", "kms:EnableKey", "kms:UpdateAlias", "kms:DeleteAlias"]
    opening = ["kms:Decrypt", "kms:ReEncrypt*", "kms:CreateGrant", "kms:PutKeyPolicy"]
    return _policy(
        _allow("FindKeys", ["kms:ListAliases", "kms:ListKeys"], "*"),
        _allow("LookAtKeys", looking, keys),
        _allow("MakeRootKeys", ["kms:CreateKey"], "*", StringEquals={**marked, **kind}),
        _allow("MarkRootKeys", ["kms:TagResource"], keys, StringEquals=marked),
        _allow(
            "NameRootKeys",
            ["kms:CreateAlias"],
            f"arn:aws:kms:{region}:{account}:alias/{prefix}/*",
        ),
        _allow("NameAndEndRootKeys", ending, keys, StringEquals=tagged),
        {
            "Sid": "OpenNothingAndUndoNothing",
            "Effect": "Deny",
            "Action": [*opening, *undoing],
            "Resource": "*",
        },
    )


def _keys(region: str, account: str) -> str:
    return f"arn:aws:kms:{region}:{account}:key/*"


def _allow(sid: str, actions: list[str], resource: str, **conditions: Any) -> dict[str, Any]:
    allowed = {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resource}
    return {**allowed, "Condition": conditions} if conditions else allowed


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, indent=2) + "\n"

"""What the two tokens may do in OpenBao or Vault: the policies that the how-to page shows.

The service wraps and unwraps, and can neither make, change, export nor back up a
key. An operator makes, rotates and destroys keys, and cannot unwrap: neither alone
reads a record and covers the traces. 45 CFR 164.308(a)(4)(ii)(B), 164.312(a)(1).
"""

from __future__ import annotations

from typing import Final

_SERVICE: Final = """\
path "{mount}/encrypt/{prefix}-*" {{ capabilities = ["update"] }}
path "{mount}/decrypt/{prefix}-*" {{ capabilities = ["update"] }}
path "{mount}/keys/{prefix}-*" {{ capabilities = ["read"] }}
"""

# Below `keys/` lie also `config`, `rotate`, `trim` and `import`. Whoever could make a key
# exportable could let it be copied, and whoever brings key material knows it.
_OPERATOR: Final = """\
path "{mount}/keys/{prefix}-*" {{
  capabilities = ["create", "read", "update", "delete"]
  denied_parameters = {{
    "exportable" = []
    "allow_plaintext_backup" = []
    "convergent_encryption" = []
    "ciphertext" = []
    "public_key" = []
  }}
}}
"""


def service_policy(mount: str = "transit", prefix: str = "seawall") -> str:
    """Return the policy of the service's token, in HCL."""
    return _SERVICE.format(mount=mount, prefix=prefix)


def operator_policy(mount: str = "transit", prefix: str = "seawall") -> str:
    """Return the policy of an operator's token, in HCL."""
    return _OPERATOR.format(mount=mount, prefix=prefix)

"""Passkeys by web authentication (WebAuthn level 3), for one name and its origin.

Every credential is discoverable, so that no list of credentials is ever told to
somebody who only says a name. No attestation is asked for: which make an authenticator
is of says nothing that is decided on. A name that is an address cannot have passkeys,
because browsers give an address none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import (
    base64url_to_bytes,
    bytes_to_base64url,
    options_to_json_dict,
    parse_authentication_credential_json,
    parse_client_data_json,
    parse_registration_credential_json,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    CredentialDeviceType,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from seawall.app.ports import Made, Shown
from seawall.core.errors import Invalid, Refused
from seawall.core.identity.account import TRANSPORTS, Passkey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ALGORITHMS: Final = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_TIMEOUT_MS: Final = 120_000
_LONGEST_ID: Final = 1023
"""The most bytes of a credential's id (WebAuthn, section 4)."""
_LONGEST_KEY: Final = 1_024
"""The most bytes of a public key; an account with a longer one could not be read."""


class WebPasskeys:
    """The Passkeys port for one server name."""

    def __init__(self, *, name: str, origin: str) -> None:
        """Take the server's name and its origin, such as `https://clinic.example:8443`."""
        self._name = name
        # As browsers write it: the usual port is not said (RFC 6454, section 6.2).
        self._origin = origin.removesuffix(":443")

    def creation_options(
        self, *, handle: bytes, user: str, title: str, challenge: bytes, held: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return what `navigator.credentials.create` is asked; `held` are not made again."""
        options = generate_registration_options(
            rp_id=self._name,
            rp_name="Seawall",
            user_id=handle,
            user_name=user,
            user_display_name=title,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            attestation=AttestationConveyancePreference.NONE,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.REQUIRED,
                user_verification=UserVerificationRequirement.PREFERRED,
            ),
            exclude_credentials=[
                PublicKeyCredentialDescriptor(id=base64url_to_bytes(one)) for one in held
            ],
            supported_pub_key_algs=_ALGORITHMS,
        )
        return options_to_json_dict(options)

    def made(self, response: Mapping[str, Any], challenge: bytes) -> Made:
        """Return the credential that a response registers; `Refused` if it registers none."""
        try:
            credential = parse_registration_credential_json(dict(response))
            client = parse_client_data_json(credential.response.client_data_json)
            found = verify_registration_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._name,
                expected_origin=self._origin,
                supported_pub_key_algs=_ALGORITHMS,
            )
        except Exception:  # noqa: BLE001  whatever is thrown over bytes of a stranger's making
            raise _refusal() from None
        if client.cross_origin or len(found.credential_id) > _LONGEST_ID:
            raise _refusal()
        if len(found.credential_public_key) > _LONGEST_KEY:
            raise _refusal()
        said = credential.response.transports or []
        made = Passkey(
            id=bytes_to_base64url(found.credential_id),
            public_key=bytes_to_base64url(found.credential_public_key),
            count=found.sign_count,
            transports=tuple(sorted({one.value for one in said} & set(TRANSPORTS))),
            may_be_synced=found.credential_device_type == CredentialDeviceType.MULTI_DEVICE,
            is_synced=found.credential_backed_up,
            verifies_user=found.user_verified,
        )
        return Made(made, found.user_verified)

    def request_options(self, challenge: bytes, *, must_verify_user: bool) -> dict[str, Any]:
        """Return what `navigator.credentials.get` is asked: any credential of ours."""
        wanted = UserVerificationRequirement
        options = generate_authentication_options(
            rp_id=self._name,
            challenge=challenge,
            timeout=_TIMEOUT_MS,
            user_verification=wanted.REQUIRED if must_verify_user else wanted.PREFERRED,
        )
        return options_to_json_dict(options)

    def named(self, response: Mapping[str, Any]) -> tuple[str, bytes]:
        """Return which credential a response says to be of, and its user handle, unverified."""
        try:
            parsed = parse_authentication_credential_json(dict(response))
        except Exception:  # noqa: BLE001  as in `made`
            raise Invalid(
                "passkey-invalid",
                "this is not a browser's answer to a request for a passkey",
                "send what `navigator.credentials.get` gave, as its `toJSON` writes it",
            ) from None
        return bytes_to_base64url(parsed.raw_id), parsed.response.user_handle or b""

    def shown(self, response: Mapping[str, Any], challenge: bytes, passkey: Passkey) -> Shown:
        """Return what a response shows; `Refused` unless its signature holds."""
        try:
            credential = parse_authentication_credential_json(dict(response))
            client = parse_client_data_json(credential.response.client_data_json)
            found = verify_authentication_response(
                credential=credential,
                expected_challenge=challenge,
                expected_rp_id=self._name,
                expected_origin=self._origin,
                credential_public_key=base64url_to_bytes(passkey.public_key),
                # Compared by the caller, who tells a clone from a wrong signature.
                credential_current_sign_count=0,
            )
        except Exception:  # noqa: BLE001  as in `made`
            raise _refusal() from None
        named = bytes_to_base64url(found.credential_id)
        if client.cross_origin or named != passkey.id:
            raise _refusal()
        return Shown(
            named, found.new_sign_count, found.user_verified, is_synced=found.credential_backed_up
        )


def _refusal() -> Refused:
    return Refused(
        "passkey-refused",
        "the passkey was not accepted",
        "open the page under the server's own name, and try again with a passkey made there",
    )

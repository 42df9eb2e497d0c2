"""Who calls, as the gateway signed it, and whose data that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from teleglas_common.principal import METADATA_KEY, PrincipalError, Signer

__all__ = ["DEFAULT_TENANT", "tenant_reader"]

DEFAULT_TENANT = "default"


def tenant_reader(signer: Signer | None, *, required: bool) -> Callable[[Any], str]:
    """The tenant of a call's principal: a forged principal is refused always, a missing one where
    principals are required; without one it is the default tenant.
    """

    def tenant(context: Any) -> str:
        if signer is None:
            return DEFAULT_TENANT
        metadata = dict(context.invocation_metadata() or ())
        token = metadata.get(METADATA_KEY)
        if token is not None:
            try:
                return signer.verify(token).tenant_id or DEFAULT_TENANT
            except msgspec.DecodeError:
                raise PrincipalError("expected a signed principal, was damaged") from None
        if required:
            raise PrincipalError("expected a signed principal, found none")
        return DEFAULT_TENANT

    return tenant

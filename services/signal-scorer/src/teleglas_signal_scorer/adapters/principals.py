"""Who calls, as the gateway signed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teleglas_common.principal import METADATA_KEY, Principal, PrincipalError, Signer

__all__ = ["ANONYMOUS", "authenticator"]

ANONYMOUS = Principal("default", "anonymous")


def authenticator(signer: Signer | None, *, required: bool) -> Callable[[Any], Principal]:
    """Reads a call's principal: a forged one is refused always, a missing one where principals are
    required.
    """

    def check(context: Any) -> Principal:
        if signer is None:
            return ANONYMOUS
        metadata = dict(context.invocation_metadata() or ())
        token = metadata.get(METADATA_KEY)
        if token is not None:
            return signer.verify(token)
        if required:
            raise PrincipalError("expected a signed principal, found none")
        return ANONYMOUS

    return check

"""Who calls, as the gateway signed it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teleglas_common.principal import METADATA_KEY, PrincipalError, Signer

__all__ = ["authenticator"]


def authenticator(signer: Signer | None, *, required: bool) -> Callable[[Any], None]:
    """A check of a call's metadata: a forged principal is refused always, a missing one where
    principals are required.
    """

    def check(context: Any) -> None:
        if signer is None:
            return
        metadata = dict(context.invocation_metadata() or ())
        token = metadata.get(METADATA_KEY)
        if token is not None:
            signer.verify(token)
        elif required:
            raise PrincipalError("expected a signed principal, found none")

    return check

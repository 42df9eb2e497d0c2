"""Who a call to another service is made for, signed."""

from __future__ import annotations

from teleglas_common.grpc_client import call_metadata
from teleglas_common.principal import Principal, Signer
from teleglas_gateway.domain.keys import Grant

__all__ = ["SignedMetadata"]


class SignedMetadata:
    """The trace and the signed principal of one call."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def __call__(self, grant: Grant) -> tuple[tuple[str, str], ...]:
        principal = Principal(
            tenant_id=grant.tenant_id,
            principal_id=grant.principal_id,
            scopes=tuple(sorted(grant.scopes)),
        )
        return call_metadata(self._signer.sign(principal))

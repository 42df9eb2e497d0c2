"""Who may do what: a scope for each action, for REST and streams alike."""

from __future__ import annotations

from teleglas_gateway.domain.keys import Grant
from teleglas_gateway.domain.problems import Code, Problem

__all__ = ["ScopeAuthorizer"]


class ScopeAuthorizer:
    """A grant may do what its scopes name."""

    def check(self, grant: Grant, scope: str, resource: str) -> None:
        if scope not in grant.scopes:
            held = ", ".join(sorted(grant.scopes)) or "none"
            raise Problem(
                Code.FORBIDDEN, f"expected a key with scope {scope} for {resource}, it has {held}"
            )

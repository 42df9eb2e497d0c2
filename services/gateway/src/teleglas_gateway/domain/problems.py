"""Every refusal that a client can meet: stable codes for REST (RFC 9457) and streams."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

__all__ = ["CloseCode", "Code", "Problem"]


@dataclass(frozen=True, slots=True)
class Kind:
    status: int
    title: str


class Code(Enum):
    """`code` of a problem. A code never changes its meaning; new ones may come."""

    VALIDATION_FAILED = Kind(422, "A parameter is missing or out of range")
    MALFORMED_BODY = Kind(400, "The body is not the JSON that was expected")
    UNAUTHENTICATED = Kind(401, "A valid API key is needed")
    KEY_EXPIRED = Kind(401, "The API key has expired")
    KEY_REVOKED = Kind(401, "The API key was revoked")
    INVALID_TICKET = Kind(401, "The ticket is unknown, used or too old")
    AUTH_DEADLINE = Kind(401, "No ticket came in time")
    FORBIDDEN = Kind(403, "The key lacks the scope")
    NOT_FOUND = Kind(404, "There is nothing at this path")
    METHOD_NOT_ALLOWED = Kind(405, "The path does not know this method")
    UNKNOWN_SYMBOL = Kind(404, "No venue lists this symbol")
    UNKNOWN_VENUE = Kind(404, "The venue does not list this symbol")
    NO_DATA = Kind(404, "Nothing is known of this market yet")
    UNKNOWN_ID = Kind(404, "Nothing has this id")
    UNKNOWN_CHANNEL = Kind(404, "There is no such channel")
    INVALID_CURSOR = Kind(400, "The cursor was not made by this service")
    INVALID_TOKEN = Kind(400, "The resume token was not made by this service")
    UNKNOWN_METHOD = Kind(400, "There is no such method")
    CONFLATION_UNSUPPORTED = Kind(400, "The channel never drops messages, so it cannot conflate")
    NOT_SUBSCRIBED = Kind(404, "There is no such subscription")
    CONFLICT = Kind(409, "What is there now does not allow this")
    FRAME_TOO_LARGE = Kind(413, "The frame or body is larger than allowed")
    RATE_LIMITED = Kind(429, "Too many requests")
    SUBSCRIPTION_LIMIT = Kind(429, "Too many subscriptions on one connection")
    CONNECTION_LIMIT = Kind(429, "Too many connections")
    PING_TIMEOUT = Kind(408, "The client answered no ping")
    SLOW_READER = Kind(429, "The client reads more slowly than the stream writes")
    UPSTREAM_UNAVAILABLE = Kind(503, "A service behind the gateway does not answer")
    UPSTREAM_TIMEOUT = Kind(504, "A service behind the gateway took too long")
    NOT_DEPLOYED = Kind(503, "The service behind this path does not run here")
    AUTH_UNAVAILABLE = Kind(503, "Keys cannot be checked now")
    SHUTTING_DOWN = Kind(503, "This gateway is about to stop")
    INTERNAL = Kind(500, "The gateway failed")

    @property
    def slug(self) -> str:
        return self.name.lower()

    @property
    def status(self) -> int:
        return self.value.status

    @property
    def title(self) -> str:
        return self.value.title

    @property
    def type_uri(self) -> str:
        return f"urn:teleglas:problem:{self.slug}"


class Problem(Exception):  # noqa: N818  # an RFC 9457 problem is not always an error of ours
    """A refusal with its code, what was expected and what was there."""

    def __init__(self, code: Code, detail: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(f"{code.slug}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s

    def body(self, instance: str | None = None) -> dict[str, object]:
        body: dict[str, object] = {
            "type": self.code.type_uri,
            "title": self.code.title,
            "status": self.code.status,
            "code": self.code.slug,
            "detail": self.detail,
        }
        if instance is not None:
            body["instance"] = instance
        return body


class CloseCode:
    """WebSocket close codes of this service; 4000 to 4999 are for applications."""

    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    TOO_BIG = 1009
    INTERNAL = 1011
    SERVICE_RESTART = 1012
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    AUTH_DEADLINE = 4408
    LIMIT = 4429
    SLOW_READER = 4430
    PING_TIMEOUT = 4431

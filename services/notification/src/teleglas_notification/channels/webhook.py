"""Messages by HTTP POST, signed as Standard Webhooks says (standardwebhooks.com)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import asdict, is_dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec

from teleglas_common.clock import Clock
from teleglas_notification.channels.guard import ForbiddenAddressError, guarded_sockets
from teleglas_notification.ports import (
    BlockedError,
    Composed,
    RefusedError,
    RetryLaterError,
    TransientError,
)

__all__ = ["WebhookChannel", "secret_of", "signature", "webhook_url_fault"]

MAX_REDIRECTS = 3
MAX_URL = 512
MAX_ANSWER_BYTES = 4_096
MAX_RETRY_AFTER_S = 3_600.0
MOVED = (307, 308)
GONE = 410
TOO_MANY = (429, 503)
AGAIN = (408, 425, 500, 502, 504)


def secret_of(master: str, address: str) -> bytes:
    """The key of one receiver, made of ours and its address: nobody's key is stored."""
    return hmac.digest(master.encode(), b"webhook:" + address.encode(), hashlib.sha256)


def signature(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> str:
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def webhook_url_fault(url: str, *, allow_loopback: bool) -> str | None:
    """Why a URL can never be called, None when it may."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "expected a URL"
    schemes = ("https", "http") if allow_loopback else ("https",)
    if len(url) > MAX_URL or parts.scheme not in schemes or not parts.hostname:
        return f"expected an {' or '.join(schemes)} URL of at most {MAX_URL} characters"
    if parts.username is not None or port == 0 or not url.isascii() or not url.isprintable():
        return "expected a URL without user, with a port above 0, in ASCII"
    return None


class WebhookChannel:
    """The id in `webhook-id` stays over retries, so a receiver can tell a repeat; an edit is a
    message of its own with the same `message` in its body.
    """

    name = "webhook"
    takes_pictures = False

    def __init__(
        self, master: str, clock: Clock, *, timeout_s: float, allow_loopback: bool = False
    ) -> None:
        self._master = master
        self._clock = clock
        self._timeout_s = timeout_s
        self._allow_loopback = allow_loopback
        self._session: Any = None

    async def start(self) -> None:
        import aiohttp

        connector = aiohttp.TCPConnector(
            socket_factory=guarded_sockets(allow_loopback=self._allow_loopback),
            limit=32,
            force_close=True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "teleglas-webhooks"},
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, address: str, message: Composed, message_id: str) -> str:
        await self._post(address, message, message_id, message_id)
        return message_id

    async def edit(self, address: str, ref: str, message: Composed, message_id: str) -> None:
        body = msgspec.json.encode(_plain(message.facts))
        digest = hashlib.sha256(body).hexdigest()[:16]
        await self._post(address, message, ref, f"{message_id}:{digest}")

    async def _post(self, url: str, message: Composed, ref: str, webhook_id: str) -> None:
        body = msgspec.json.encode({**_plain(message.facts), "message": ref})
        timestamp_s = self._clock.now_ns() // 1_000_000_000
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": signature(
                secret_of(self._master, url), webhook_id, timestamp_s, body
            ),
        }
        for _ in range(MAX_REDIRECTS + 1):
            fault = webhook_url_fault(url, allow_loopback=self._allow_loopback)
            if fault is not None:
                raise RefusedError(fault)
            moved = await self._once(url, headers, body)
            if moved is None:
                return
            url = urljoin(url, moved)
        raise RefusedError(f"expected at most {MAX_REDIRECTS} redirects")

    async def _once(self, url: str, headers: dict[str, str], body: bytes) -> str | None:
        """One request; where it was moved to, if it was."""
        import aiohttp

        try:
            async with self._session.post(
                url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                await answer.content.read(MAX_ANSWER_BYTES)
                return _end(answer.status, answer.headers)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, ForbiddenAddressError):
                raise RefusedError("expected a public address") from None
            raise TransientError(f"not reached: {type(error).__name__}") from None
        except ForbiddenAddressError:
            raise RefusedError("expected a public address") from None
        except (aiohttp.InvalidURL, ValueError):
            raise RefusedError("expected a URL") from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise TransientError(type(error).__name__, unconfirmed=True) from None


def _end(status: int, headers: Any) -> str | None:
    if 200 <= status < 300:
        return None
    if status in MOVED and headers.get("Location"):
        return str(headers["Location"])[:MAX_URL]
    if status == GONE:
        raise BlockedError("the receiver is gone (410)")
    if status in TOO_MANY:
        after = str(headers.get("Retry-After", ""))
        if after.isdigit() and len(after) < 10:
            raise RetryLaterError(min(MAX_RETRY_AFTER_S, max(0.1, float(after))))
        raise TransientError(f"answered {status}")
    if status in AGAIN or status >= 500:
        raise TransientError(f"answered {status}", unconfirmed=True)
    raise RefusedError(f"answered {status}")


def _plain(facts: Any) -> dict[str, Any]:
    return {
        key: asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
        for key, value in facts.items()
    }

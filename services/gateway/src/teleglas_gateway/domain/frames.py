"""WebSocket frames as a server writes them (RFC 6455, section 5.2): unmasked and whole."""

from __future__ import annotations

__all__ = ["close_frame", "ping_frame", "text_frame"]

_FINAL_TEXT = 0x81
_FINAL_CLOSE = 0x88
_FINAL_PING = 0x89
_MAX_REASON_BYTES = 123


def text_frame(payload: bytes) -> bytes:
    return _frame(_FINAL_TEXT, payload)


def ping_frame(payload: bytes = b"") -> bytes:
    return _frame(_FINAL_PING, payload)


def close_frame(code: int, reason: str) -> bytes:
    cut = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore").encode()
    return _frame(_FINAL_CLOSE, code.to_bytes(2, "big") + cut)


def _frame(head: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((head, size)) + payload
    if size < 65_536:
        return bytes((head, 126)) + size.to_bytes(2, "big") + payload
    return bytes((head, 127)) + size.to_bytes(8, "big") + payload

import base64
import hashlib
import hmac
import random
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from teleglas_common.clock import ManualClock
from teleglas_common.paging import CursorError, decode_cursor, encode_cursor, page_size
from teleglas_common.principal import (
    ANONYMOUS,
    METADATA_KEY,
    Principal,
    PrincipalError,
    Signer,
    authenticator,
    signer_of,
)
from teleglas_common.retry import Backoff, retry

KEY, OTHER = b"k" * 32, b"o" * 32


def test_a_signed_principal_comes_back_whole() -> None:
    """A verifier with the key reads what was signed; a replaced key still verifies."""
    clock = ManualClock()
    token = Signer([KEY], clock).sign(Principal("default", "demo", ("read",)))
    found = Signer([OTHER, KEY], clock).verify(token)
    assert (found.tenant_id, found.principal_id, found.scopes) == ("default", "demo", ("read",))


@pytest.mark.parametrize("damage", ["x", "a.b", "", "e30.e30", "...", "é.é"])
def test_a_forged_principal_is_refused(damage: str) -> None:
    """Nothing that we did not sign is believed."""
    with pytest.raises(PrincipalError):
        Signer([KEY], ManualClock()).verify(damage)


async def test_a_principal_ends() -> None:
    """A token is for one moment's calls."""
    clock = ManualClock()
    signer = Signer([KEY], clock, lifetime_s=60)
    token = signer.sign(Principal("default", "demo"))
    await clock.advance(61)
    with pytest.raises(PrincipalError, match="over"):
        signer.verify(token)


def test_a_signed_text_that_is_no_principal_is_refused() -> None:
    """Whoever has the key may still send nonsense, and is told so by name."""
    mac = hmac.digest(KEY, b"[]", hashlib.sha256)
    token = ".".join(base64.urlsafe_b64encode(raw).decode().rstrip("=") for raw in (b"[]", mac))
    with pytest.raises(PrincipalError, match="another statement"):
        Signer([KEY], ManualClock()).verify(token)


def call(*metadata: tuple[str, str]) -> SimpleNamespace:
    """A gRPC call's context, as far as its metadata."""
    return SimpleNamespace(invocation_metadata=lambda: metadata)


@pytest.mark.parametrize("required", [False, True])
def test_a_call_with_a_principal_is_the_principals(required: bool) -> None:
    """The signed caller counts; a forged one is refused even where none is required."""
    signer = Signer([KEY], ManualClock())
    authenticate = authenticator(signer, required=required)
    token = signer.sign(Principal("desk", "demo"))
    assert authenticate(call(("other", "x"), (METADATA_KEY, token))).tenant_id == "desk"
    with pytest.raises(PrincipalError):
        authenticate(call((METADATA_KEY, token[:-1])))


def test_a_call_without_a_principal_is_anonymous_unless_one_is_required() -> None:
    """A service without a secret takes everybody, one that requires principals nobody without."""
    signer = signer_of(SecretStr(KEY.decode()))
    assert signer is not None
    assert authenticator(signer, required=False)(call()) is ANONYMOUS
    assert authenticator(None, required=True)(call((METADATA_KEY, "x"))) is ANONYMOUS
    assert signer_of(SecretStr("")) is None
    with pytest.raises(PrincipalError, match="found none"):
        authenticator(signer, required=True)(call())


@given(st.lists(st.integers(-(2**63), 2**63) | st.text(max_size=20), max_size=4))
def test_a_cursor_comes_back_as_it_was(position: list[int | str]) -> None:
    """Any position survives the trip through a client, and only in its own scope."""
    cursor = encode_cursor("trades", tuple(position))
    assert decode_cursor("trades", cursor) == tuple(position)
    with pytest.raises(CursorError):
        decode_cursor("candles", cursor)


@given(st.text(max_size=60))
def test_a_made_up_cursor_is_refused_by_name(cursor: str) -> None:
    """Whatever a client sends, the answer is a cursor error."""
    with pytest.raises(CursorError):
        decode_cursor("trades", cursor)


def test_page_sizes_are_bounded() -> None:
    """0 means the default, more than the most means the most."""
    assert [page_size(n) for n in (0, 5, 10**6)] == [100, 5, 1_000]
    with pytest.raises(CursorError):
        page_size(-1)


async def test_retry_backs_off_and_ends() -> None:
    """The last error comes out after the last try; other errors at once."""
    tries: list[int] = []

    async def attempt() -> None:
        tries.append(1)
        raise OSError("down")

    with pytest.raises(OSError, match="down"):
        await retry(attempt, OSError, backoff=Backoff(3, 0.001, 0.002), rng=random.Random(1))
    assert len(tries) == 3
    with pytest.raises(OSError, match="down"):
        await retry(attempt, ValueError)
    assert len(tries) == 4

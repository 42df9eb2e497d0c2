"""Secrets and certificates are replaced while everything runs."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr, ValidationError

from teleglas_cli.stack.ports import LOOPBACK
from teleglas_common.grpc_client import channel_credentials
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.principal import Principal, PrincipalError, signer_of
from teleglas_common.settings import GrpcSection, PrincipalSettings
from teleglas_common.telemetry import Metrics
from teleglas_gateway.keys import create_key, key_store, revoke_key
from tests.support.secure import Certificates

OLD, NEW = "o" * 32, "n" * 32
STEPS = (OLD, f"{OLD} {NEW}", f"{NEW} {OLD}", NEW)
"""Of one rolling restart each: what every pod has is that of the step before or of this one."""


def test_a_secret_is_replaced_in_three_rolling_restarts() -> None:
    """In each of them every pod takes what any other signs; in one step it would not."""
    ann = Principal("acme", "ann", ("alert:read",))
    for before, after in pairwise(STEPS):
        pods = [signer_of(SecretStr(value)) for value in (before, after)]
        for signing in pods:
            for verifying in pods:
                assert signing is not None
                assert verifying is not None
                found = verifying.verify(signing.sign(ann))
                assert (found.tenant_id, found.principal_id) == ("acme", "ann")
    first, last = signer_of(SecretStr(OLD)), signer_of(SecretStr(NEW))
    assert first is not None
    assert last is not None
    with pytest.raises(PrincipalError):
        last.verify(first.sign(ann))


def test_each_of_several_secrets_is_strong_and_one_makes_principals_required() -> None:
    """A short one among them is found at the start; who has a secret refuses the anonymous."""
    with pytest.raises(ValidationError, match="16 bytes"):
        PrincipalSettings(principal_secret=SecretStr(f"{OLD} short"))
    assert PrincipalSettings(principal_secret=SecretStr(OLD)).principals_required
    assert not PrincipalSettings().principals_required
    with pytest.raises(ValidationError, match="expected a principal secret"):
        PrincipalSettings(require_principal=True)


async def is_serving(channel: grpc.aio.Channel) -> bool:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True)
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


async def test_a_server_shows_its_new_certificate_without_a_restart(tmp_path: Path) -> None:
    """The next handshake has it; connections from before go on."""
    first, second = Certificates(tmp_path / "first"), Certificates(tmp_path / "second")
    pair = first.issue(LOOPBACK)
    section = GrpcSection(tls_cert_file=pair.cert_file, tls_key_file=pair.key_file)
    server = GrpcServer(section, [], [], metrics=Metrics.of("market-data"))
    await server.start()
    target = f"{LOOPBACK}:{server.port}"
    old = grpc.aio.secure_channel(target, channel_credentials(first.ca_file))
    try:
        assert await is_serving(old)
        successor = second.issue(LOOPBACK)
        pair.key_file.write_bytes(successor.key_file.read_bytes())
        pair.cert_file.write_bytes(successor.cert_file.read_bytes())
        options = [("grpc.use_local_subchannel_pool", 1)]
        credentials = channel_credentials(second.ca_file)
        async with grpc.aio.secure_channel(target, credentials, options=options) as new:
            assert await is_serving(new)
        assert await is_serving(old)
        late = grpc.aio.secure_channel(target, channel_credentials(first.ca_file), options=options)
        with pytest.raises((grpc.aio.AioRpcError, asyncio.TimeoutError)):
            await asyncio.wait_for(is_serving(late), 3)
        await late.close()
    finally:
        await old.close()
        await server.stop()


@pytest.mark.integration
async def test_two_keys_of_one_principal_hold_until_the_old_one_is_revoked(
    database_dsn: str,
) -> None:
    """So a client changes over when it likes."""
    async with key_store(database_dsn) as keys:
        old, new = [
            await create_key(keys, name=name, principal_id="trader", tenant_id="acme")
            for name in ("2026-1", "2026-2")
        ]
        ids = {old.record.key_id, new.record.key_id}
        assert await keys.dead(ids) == set()
        assert old.record.grant().principal_id == new.record.grant().principal_id
        assert not await revoke_key(keys, old.record.prefix, "another")
        assert await revoke_key(keys, old.record.prefix, "acme")
        assert await keys.dead(ids) == {old.record.key_id}

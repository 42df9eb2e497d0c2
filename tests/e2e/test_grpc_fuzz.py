"""Every gRPC method of every service, called with messages made of its own description."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from teleglas.market.v1 import service_pb2
from teleglas.notification.v1 import notification_pb2
from teleglas.prediction.v1 import prediction_pb2
from teleglas.signal.v1 import signal_pb2
from teleglas.whale.v1 import whale_pb2
from teleglas_cli.up.product import Product
from teleglas_common.clock import SystemClock
from teleglas_common.principal import METADATA_KEY, Principal, Signer
from tests.support.product import started
from tests.support.random_messages import random_message
from tests.support.standing import PRINCIPAL_SECRET

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="session"),
]

CALLS = 30
"""Of each method."""
FUZZER = Principal("default", "fuzzer")
SIGNER = Signer([PRINCIPAL_SECRET.encode()], SystemClock())
SERVED = {
    "market-data": service_pb2.DESCRIPTOR,
    "whale-detector": whale_pb2.DESCRIPTOR,
    "signal-scorer": signal_pb2.DESCRIPTOR,
    "prediction": prediction_pb2.DESCRIPTOR,
    "notification": notification_pb2.DESCRIPTOR,
}
OURS = ("INTERNAL", "UNKNOWN", "UNIMPLEMENTED")
"""Answers that say that the fault is ours."""


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    for name, file in SERVED.items():
        for service in file.services_by_name.values():
            for method in service.methods:
                yield name, method


async def call(channel: grpc.aio.Channel, method: MethodDescriptor, request: Message) -> str:
    """The name of the status that a call ends with."""
    assert method.containing_service is not None
    path = f"/{method.containing_service.full_name}/{method.name}"
    make: Any = channel.unary_stream if method.server_streaming else channel.unary_unary
    running = make(
        path,
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )(request, timeout=5, metadata=((METADATA_KEY, SIGNER.sign(FUZZER)),))
    try:
        if method.server_streaming:
            await asyncio.wait_for(running.read(), 0.3)
        else:
            await running
    except TimeoutError:
        return "OK"
    except grpc.aio.AioRpcError as error:
        return error.code().name
    finally:
        running.cancel()
    return "OK"


async def fuzz(product: Product, rng: random.Random) -> tuple[Counter[str], dict[str, str]]:
    """How many calls ended how; of each method that failed, a request that made it fail."""
    statuses: Counter[str] = Counter()
    failed: dict[str, str] = {}
    for name, method in methods():
        async with grpc.aio.insecure_channel(product.layout.grpc[name]) as channel:
            for _ in range(CALLS):
                request = random_message(method.input_type, rng)
                status = await call(channel, method, request)
                statuses[status] += 1
                if status in OURS:
                    failed[f"{method.full_name} {status}"] = str(request)[:400]
    return statuses, failed


async def test_no_request_makes_a_service_fail(product):
    """Refused by name or answered, never an error of ours, and nobody restarts."""
    before = started(product)
    statuses, failed = await fuzz(product, random.Random(11))
    assert not failed, failed
    assert started(product) == before
    assert statuses["OK"]
    assert statuses["INVALID_ARGUMENT"]
    print(f"{sum(statuses.values())} calls: {dict(statuses)}")  # noqa: T201

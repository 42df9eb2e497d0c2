"""Messages of any kind with values that nobody sends who means well."""

from __future__ import annotations

import math
import random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

__all__ = ["random_message"]

TEXTS = (
    *("", "BTC", "BTC-USDT", "binance", "composite", "BTC-USDT:1723161600000000000:1", "1"),
    *("\0", "🐋" * 40, "'; DROP TABLE alerts; --", "%00", "../../etc", "-1", "NaN", "9" * 40),
    "x" * 70_000,
)
INTS = (0, 1, -1, 2, 60, 1_000, 10**6, 10**18)
DOUBLES = (0.0, 1.0, -1.0, 0.5, 1e308, -1e308, math.nan, math.inf, -math.inf, 5e-324)
MAX_DEPTH = 3


def random_message(kind: Descriptor, rng: random.Random, depth: int = 0) -> Message:
    """A message in which each field is set or not, to something usual or to something else."""
    message = GetMessageClass(kind)()
    for field in kind.fields:
        if rng.random() < 0.3:
            continue
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if depth < MAX_DEPTH and field.message_type is not None:
                _set(message, field, rng, lambda f: random_message(f.message_type, rng, depth + 1))
            continue
        _set(message, field, rng, lambda f: _scalar(f, rng))
    return message


def _set(message: Message, field: FieldDescriptor, rng: random.Random, make: Any) -> None:
    if field.is_repeated:
        count = 2_000 if rng.random() < 0.02 else rng.randint(0, 3)
        getattr(message, field.name).extend(make(field) for _ in range(count))
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        getattr(message, field.name).CopyFrom(make(field))
    else:
        setattr(message, field.name, make(field))


def _scalar(field: FieldDescriptor, rng: random.Random) -> Any:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING:
            text = rng.choice(TEXTS)
            return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text
        case FieldDescriptor.CPPTYPE_BOOL:
            return rng.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return rng.choice(DOUBLES)
        case FieldDescriptor.CPPTYPE_ENUM:
            return rng.choice((0, 1, 2, 3, 99))
        case _:
            return _whole(field, rng)


def _whole(field: FieldDescriptor, rng: random.Random) -> int:
    wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    unsigned = field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    bits = 64 if wide else 32
    least = 0 if unsigned else -(2 ** (bits - 1))
    most = 2**bits - 1 if unsigned else 2 ** (bits - 1) - 1
    chosen = rng.choice((*INTS, least, most, rng.randint(least, most)))
    return int(min(max(chosen, least), most))

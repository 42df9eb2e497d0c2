"""Generate the topic catalogue in docs/ from the manifests; --check fails if it is stale."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor

from teleglas.options_pb2 import volatile
from teleglas_contracts import topics
from teleglas_contracts.messages import MESSAGES
from teleglas_contracts.topic import Topic

AnyDescriptor = Any  # upb and pure Python give different, unrelated classes
ROOT = Path(__file__).resolve().parent.parent
HOUR_MS = 3_600_000

INTRODUCTION = f"""\
Every topic that is partitioned by base asset has {topics.PARTITIONS} partitions; a record's
partition is murmur2 of its base asset, so all of BTC has one partition number everywhere. Values
are protobuf; the header `schema` names the message, `event-id` the event, `traceparent` its trace,
`produced-at` our time in ns. A record that cannot be handled goes to the topic's dead-letter twin
(`.dlt`, one partition, 14 days) as a `teleglas.bus.v1.DeadLetter`.\
"""

SCALARS = {
    FieldDescriptor.CPPTYPE_INT32: {"type": "integer", "format": "int32"},
    FieldDescriptor.CPPTYPE_INT64: {"type": "string", "format": "int64"},
    FieldDescriptor.CPPTYPE_UINT32: {"type": "integer", "format": "uint32"},
    FieldDescriptor.CPPTYPE_UINT64: {"type": "string", "format": "uint64"},
    FieldDescriptor.CPPTYPE_DOUBLE: {"type": "number", "format": "double"},
    FieldDescriptor.CPPTYPE_BOOL: {"type": "boolean"},
}


def retention(topic: Topic) -> str:
    """For people: how long a record stays."""
    if topic.compacted or topic.retention_ms is None:
        return "compacted: the last record of each key stays"
    hours = topic.retention_ms // HOUR_MS
    return f"{hours // 24} days" if hours > 24 else f"{hours} h"


def kind(field: FieldDescriptor) -> str:
    """The field's type as a proto file would write it."""
    if field.message_type is not None:
        name = field.message_type.name
    elif field.enum_type is not None:
        name = field.enum_type.name
    else:
        name = SCALARS.get(field.cpp_type, {"format": "bytes"}).get("format", "")
        name = name or ("bool" if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else "string")
        if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
            name = "bytes" if field.type == FieldDescriptor.TYPE_BYTES else "string"
    return f"{name}[]" if field.is_repeated else name


def page() -> str:
    """The catalogue that people read."""
    lines = [
        "# Topics",
        "",
        "Generated from `proto/topics` by `make docs`; edit the manifests instead.",
        "",
        INTRODUCTION,
        "",
        "| topic | what | written by | read by | kept |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| [`{t.name}`](#{anchor(t)}) | {t.purpose} | {', '.join(t.producers)} "
        f"| {', '.join(t.consumers)} | {retention(t)} |"
        for t in topics.ALL
    ]
    for topic in topics.ALL:
        lines += ["", f"## {topic.name}", "", topic.purpose, ""]
        placed = topic.partition_by.value.replace("_", " ")
        lines.append(f"Key `{topic.key}`; partition by {placed}; owner {topic.owner};")
        lines.append(f"kept {retention(topic)}.")
        for schema in topic.schemas:
            lines += ["", f"### {schema}", "", *fields(MESSAGES[schema].DESCRIPTOR)]
            lines += ["", "```json", example(topic, schema), "```"]
    return "\n".join(lines) + "\n"


def anchor(topic: Topic) -> str:
    """The heading's anchor on the page."""
    return topic.name.replace(".", "")


def fields(message: AnyDescriptor) -> list[str]:
    """A table of a message's fields."""
    rows = ["| # | field | type | |", "|---|---|---|---|"]
    for field in message.fields:
        note = "volatile" if field.GetOptions().Extensions[volatile] else ""
        rows.append(f"| {field.number} | `{field.name}` | {kind(field)} | {note} |")
    return rows


def example(topic: Topic, schema: str) -> str:
    """The manifest's example of one schema."""
    name = f"{topic.name.removeprefix('teleglas.')}.{schema.rsplit('.', 1)[1]}.json"
    return (ROOT / "proto" / "examples" / name).read_text().strip()


def json_schema(message: AnyDescriptor, found: dict[str, Any]) -> None:
    """Add the JSON schema of a message and of all it holds to `found`."""
    if message.full_name in found:
        return
    properties: dict[str, Any] = {}
    found[message.full_name] = {"type": "object", "properties": properties}
    for field in message.fields:
        if field.message_type is not None:
            json_schema(field.message_type, found)
            shape: dict[str, Any] = {"$ref": f"#/components/schemas/{field.message_type.full_name}"}
        elif field.enum_type is not None:
            shape = {"type": "string", "enum": [value.name for value in field.enum_type.values]}
        else:
            shape = dict(SCALARS.get(field.cpp_type, {"type": "string"}))
        properties[field.json_name] = (
            {"type": "array", "items": shape} if field.is_repeated else shape
        )


def asyncapi() -> str:
    """The same catalogue for machines, AsyncAPI 3.0."""
    schemas: dict[str, Any] = {}
    messages: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for topic in topics.ALL:
        for schema in topic.schemas:
            json_schema(MESSAGES[schema].DESCRIPTOR, schemas)
            messages[schema] = {
                "name": schema,
                "contentType": "application/x-protobuf",
                "payload": {"$ref": f"#/components/schemas/{schema}"},
            }
        refs = {schema: {"$ref": f"#/components/messages/{schema}"} for schema in topic.schemas}
        channels[topic.name] = {
            "address": topic.name,
            "description": topic.purpose,
            "messages": refs,
            "bindings": {"kafka": {"partitions": topic.partitions}},
        }
        for action, services in (("send", topic.producers), ("receive", topic.consumers)):
            for service in services:
                operations[f"{service}.{action}.{topic.name}"] = {
                    "action": action,
                    "channel": {"$ref": f"#/channels/{topic.name}"},
                }
    document = {
        "asyncapi": "3.0.0",
        "info": {"title": "Teleglas topics", "version": "1.0.0"},
        "defaultContentType": "application/x-protobuf",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": schemas},
    }
    return yaml.safe_dump(json.loads(json.dumps(document)), sort_keys=False, width=100)


def main() -> int:
    wanted = {ROOT / "docs" / "topics.md": page(), ROOT / "docs" / "asyncapi.yaml": asyncapi()}
    if "--check" not in sys.argv:
        for path, text in wanted.items():
            path.write_text(text)
        return 0
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"stale: {path.relative_to(ROOT)}; run `make docs` and commit the result")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

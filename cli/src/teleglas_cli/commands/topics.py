"""`teleglas topics`, `teleglas tail` and `teleglas digest`: what is in the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from teleglas_cli.connect import bus
from teleglas_cli.digest import Digest
from teleglas_cli.render import as_json, pretty
from teleglas_common.bus.encode import decode
from teleglas_common.bus.ports import EARLIEST, LATEST, Bus, PoisonError, Reader, Record
from teleglas_contracts import topics as catalogue
from teleglas_contracts.topic import Topic

__all__ = ["digest", "read_to_end", "tail", "topics"]

POLL_RECORDS = 5_000
POLL_TIMEOUT_S = 1.0
IDLE_POLLS = 10


def named(name: str) -> Topic:
    """The topic of a full or short name (`market.trades`); lists the names if there is none."""
    for topic in catalogue.ALL:
        short = topic.name.removeprefix("teleglas.")
        if name in (topic.name, short, short.rpartition(".")[0]):
            return topic
    known = ", ".join(topic.name.removeprefix("teleglas.") for topic in catalogue.ALL)
    raise click.BadParameter(f"expected one of {known}; was {name!r}")


@asynccontextmanager
async def reading(source: Bus, topic: Topic, start: int) -> AsyncIterator[Reader]:
    """A started reader over all partitions of a topic."""
    begins = await source.begins([topic.name])
    reader = source.reader(dict.fromkeys(begins, start))
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def read_to_end(source: Bus, topic: Topic) -> AsyncIterator[Record]:
    """Every record that the topic holds now, each partition in order."""
    ends = {tp: end for tp, end in (await source.ends([topic.name])).items() if end > 0}
    begins = await source.begins([topic.name])
    waiting = {tp: end for tp, end in ends.items() if begins[tp] < end}
    async with reading(source, topic, EARLIEST) as reader:
        idle = 0
        while waiting:
            polled = await reader.poll(max_records=POLL_RECORDS, timeout_s=POLL_TIMEOUT_S)
            idle = 0 if polled else idle + 1
            if idle > IDLE_POLLS:
                raise click.ClickException(f"no answer from the broker for {sorted(waiting)}")
            for partition, records in polled.items():
                for record in records:
                    if record.offset < ends.get(partition, 0):
                        yield record
                if records and records[-1].offset + 1 >= ends.get(partition, 0):
                    waiting.pop(partition, None)


@click.group(invoke_without_command=True)
@click.pass_context
def topics(context: click.Context) -> None:
    """List the topics: who writes and reads them, and how many records they hold."""
    if context.invoked_subcommand is None:
        asyncio.run(_topics())


@topics.command()
def create() -> None:
    """Create the topics that are missing, with their dead-letter twins."""
    epochs = asyncio.run(bus().create(catalogue.ALL))
    click.echo(f"{len(epochs)} topics are there")


async def _topics() -> None:
    source = bus()
    names = [topic.name for topic in catalogue.ALL]
    begins, ends = await source.begins(names), await source.ends(names)
    for topic in catalogue.ALL:
        held = sum(ends[tp] - begins[tp] for tp in ends if tp.topic == topic.name)
        click.echo(
            f"{topic.name:<36} {held:>12,} records  {', '.join(topic.producers)} → "
            f"{', '.join(topic.consumers)}"
        )


@click.command()
@click.argument("topic")
@click.option("--json", "json_lines", is_flag=True, help="One JSON object a line.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest record, not with now.")
@click.option("--limit", type=int, default=0, help="Stop after so many messages.")
@click.option("--only", default="", help="Only keys that contain this, e.g. binance:BTC.")
def tail(topic: str, json_lines: bool, from_start: bool, limit: int, only: str) -> None:
    """Follow a topic, decoded: `teleglas tail market.trades`."""
    asyncio.run(_tail(named(topic), json_lines, EARLIEST if from_start else LATEST, limit, only))


async def _tail(topic: Topic, json_lines: bool, start: int, limit: int, only: str) -> None:
    shown = 0
    async with reading(bus(), topic, start) as reader:
        while not limit or shown < limit:
            polled = await reader.poll(max_records=500, timeout_s=POLL_TIMEOUT_S)
            for record in (record for records in polled.values() for record in records):
                if only and only.encode() not in (record.key or b""):
                    continue
                _show(record, json_lines)
                shown += 1
                if shown == limit:
                    return


def _show(record: Record, json_lines: bool) -> None:
    place = {"partition": record.partition, "offset": record.offset}
    try:
        message = decode(record)
    except PoisonError as error:
        click.echo(json.dumps({**place, "undecodable": str(error)}) if json_lines else str(error))
        return
    if json_lines:
        click.echo(json.dumps({**place, "message": as_json(message)}))
        return
    for line in pretty(message):
        click.echo(line)


@click.command()
@click.argument("topic")
def digest(topic: str) -> None:
    """Hash what a topic says: equal for two runs over the same input."""
    asyncio.run(_digest(named(topic)))


async def _digest(topic: Topic) -> None:
    found = Digest()
    async for record in read_to_end(bus(), topic):
        found.add([record])
    click.echo(f"{found.hexdigest()}  {topic.name}  {len(found.events)} events")

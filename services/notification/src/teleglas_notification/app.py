"""The composition root: what notification is made of, and in which order it starts and stops."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import grpc.aio

from teleglas.notification.v1.notification_pb2 import DESCRIPTOR
from teleglas.notification.v1.notification_pb2_grpc import add_NotificationsServicer_to_server
from teleglas_common.bus.ports import Bus, Publisher
from teleglas_common.bus.worker import Worker
from teleglas_common.bus.worker_settings import WorkerSettings
from teleglas_common.clock import SystemClock
from teleglas_common.grpc_server import GrpcServer
from teleglas_common.health import Health
from teleglas_common.health_server import HealthServer
from teleglas_common.kafka import create_bus
from teleglas_common.lifecycle import Component
from teleglas_common.parts import Database, Shards, standing_on
from teleglas_common.principal import authenticator, signer_of
from teleglas_common.telemetry import Metrics
from teleglas_common.telemetry.metrics import BusMetrics
from teleglas_common.telemetry.publisher import MeasuredPublisher
from teleglas_common.telemetry.watch import Watch
from teleglas_notification.adapters.candles import MarketDataCandles
from teleglas_notification.adapters.cleaner import Cleaner
from teleglas_notification.adapters.directory import PostgresDirectory
from teleglas_notification.adapters.grpc_service import ERRORS, Access, NotificationsService
from teleglas_notification.adapters.outbox import Outbox
from teleglas_notification.adapters.reporter import Reporter
from teleglas_notification.adapters.store import PostgresStore
from teleglas_notification.bot.front import Front
from teleglas_notification.channels.console import ConsoleChannel
from teleglas_notification.channels.telegram import TelegramChannel
from teleglas_notification.channels.webhook import WebhookChannel
from teleglas_notification.counts import Counts
from teleglas_notification.dispatcher import Dispatcher
from teleglas_notification.limits import Limiter
from teleglas_notification.pictures import Painter
from teleglas_notification.ports import SCHEMA, Channel
from teleglas_notification.routes import GROUP, READS, ROUTES, WRITES
from teleglas_notification.sending import RetryPolicy, Sender
from teleglas_notification.settings import Settings
from teleglas_notification.shard import NotificationShard, Tools
from teleglas_notification.steady import steadily

__all__ = ["SERVICE", "NotificationApp", "build_app"]

SERVICE = "notification"
MIGRATIONS = Path(__file__).with_name("migrations")
SECOND_NS = 1_000_000_000


class Wakes(Protocol):
    """Waits for new work."""

    def wake(self) -> None: ...


class Bell:
    """Rings everybody who waits for new work: `first` have messages to send, `then` what became of
    them to report.
    """

    def __init__(self) -> None:
        self.first: list[Wakes] = []
        self.then: list[Wakes] = []

    def ring(self) -> None:
        for listener in (*self.first, *self.then):
            listener.wake()

    def ring_reports(self) -> None:
        for listener in self.then:
            listener.wake()


class Reports:
    """Writes deliveries to the log, and drops those of long ago."""

    def __init__(self, publisher: Publisher, database: Database, keep_days: int) -> None:
        self._clock = SystemClock()
        self._reporter = Reporter(publisher, self._clock)
        self._cleaner = Cleaner(self._clock, keep_days)
        self._database = database
        self._stopping = asyncio.Event()
        self._over = asyncio.Event()

    def wake(self) -> None:
        self._reporter.wake()

    async def start(self) -> None:
        """Nothing to open."""

    async def run(self) -> None:
        try:
            await steadily(self._work, "reports", self._clock)
        finally:
            self._over.set()

    async def _work(self) -> None:
        pool = self._database.pool
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reporter.run(pool, self._stopping))
            group.create_task(self._cleaner.run(pool, self._stopping))

    async def stop(self) -> None:
        self._stopping.set()
        self._reporter.wake()
        await self._over.wait()


class Sending:
    """One channel and the dispatcher that serves it."""

    def __init__(
        self,
        settings: Settings,
        channel: Channel,
        painter: Painter | None,
        database: Database,
        bell: Bell,
        counts: Counts,
    ) -> None:
        self._settings = settings
        self._channel = channel
        self._painter = painter
        self._database = database
        self._bell = bell
        self._counts = counts
        self._clock = SystemClock()
        self._dispatcher: Dispatcher | None = None
        self._over = asyncio.Event()

    def wake(self) -> None:
        if self._dispatcher is not None:
            self._dispatcher.wake()

    async def start(self) -> None:
        delivery, clock = self._settings.delivery, self._clock
        await self._channel.start()
        policy = RetryPolicy(
            delivery.tries,
            delivery.retry_first_s,
            delivery.retry_max_s,
            delivery.max_unconfirmed,
        )
        limiter = Limiter(clock, delivery.per_second)
        sender = Sender(self._channel, limiter, self._painter, policy, clock, self._counts)
        outbox = Outbox(
            self._database.pool,
            clock,
            secrets.token_hex(8),
            lease_s=delivery.lease_s,
            chat_gap_s=delivery.chat_gap_s,
        )
        self._dispatcher = Dispatcher(
            outbox,
            sender,
            clock,
            self._counts,
            workers=delivery.workers,
            settled=self._bell.ring_reports,
        )

    async def run(self) -> None:
        dispatcher = self._dispatcher
        if dispatcher is None:
            raise RuntimeError("expected a started dispatcher")
        try:
            await steadily(dispatcher.run, f"channel {self._channel.name}", self._clock)
        finally:
            self._over.set()

    async def stop(self) -> None:
        """Finish the calls under way."""
        if self._dispatcher is not None:
            self._dispatcher.stop()
            await self._over.wait()
        await self._channel.stop()


class NotificationApp:
    """Starts database, publisher, reports, channels, gRPC, the bot, shards and health."""

    name = SERVICE

    def __init__(self, settings: Settings, bus: Bus) -> None:
        self.health = Health()
        self.shutdown_grace_s = settings.shutdown_grace_s
        self._settings = settings
        self._bus = bus
        self._metrics = metrics = Metrics.of(SERVICE, reads=READS, writes=WRITES)
        self._counts = counts = Counts(metrics)
        self._bell = bell = Bell()
        self._publisher = MeasuredPublisher(bus.publisher(), metrics)
        self.database = Database(settings.postgres, SERVICE, SCHEMA, MIGRATIONS)
        candles = candles_of(settings, metrics)
        painter = None if candles is None else Painter(candles, counts)
        channels, bot = channels_of(settings)
        self._channels = tuple(channel.name for channel in channels)
        self.sending = [
            Sending(settings, channel, painter, self.database, bell, counts) for channel in channels
        ]
        reports = Reports(self._publisher, self.database, settings.delivery.keep_days)
        bell.first += self.sending
        bell.then.append(reports)
        front = [] if bot is None else [Front(settings.telegram, bot, self.database, counts)]
        self.shards = Shards(self._worker)
        self.grpc = GrpcServer(
            settings.grpc,
            [self._serve],
            [DESCRIPTOR.services_by_name["Notifications"].full_name],
            metrics=metrics,
            errors=ERRORS,
        )
        self.http = HealthServer(settings.http, self.health, metrics)
        self.health.add("database", self.database.check)
        self.health.add("shards", self.shards.check)
        self.components: Sequence[Component] = (
            self.database,
            self._publisher,
            reports,
            *([] if candles is None else [candles]),
            *self.sending,
            self.grpc,
            *front,
            self.shards,
            self.http,
            Watch(metrics, self.health, standing_on(bus, self.database)),
        )

    def _worker(self) -> Worker[NotificationShard]:
        clock, pool = SystemClock(), self.database.pool
        edit_gap_ns = round(self._settings.delivery.edit_gap_s * SECOND_NS)
        tools = Tools(
            PostgresStore(pool, clock, edit_gap_ns),
            PostgresDirectory(pool, clock),
            self._counts,
            self._bell.ring,
        )
        return Worker(
            self._bus,
            ROUTES,
            group=GROUP,
            shard_factory=lambda number: NotificationShard(number, tools),
            publisher=self._publisher,
            service=SERVICE,
            # every turn is stored at once: a message waits for it
            settings=WorkerSettings(checkpoint_interval_s=1.0, checkpoint_records=1),
            metrics=BusMetrics(self._metrics, GROUP),
        )

    def _serve(self, server: grpc.aio.Server) -> None:
        settings = self._settings
        access = Access(
            authenticator(
                signer_of(settings.principal_secret), required=settings.require_principal
            ),
            self._channels,
            settings.webhook.allow_loopback,
            settings.grpc.default_deadline_s,
        )
        service = NotificationsService(self.database.pool, SystemClock(), access, self._bell.ring)
        add_NotificationsServicer_to_server(service, server)


def channels_of(settings: Settings) -> tuple[list[Channel], Any]:
    """The channels that the settings allow, and the bot, if there is one."""
    channels: list[Channel] = [ConsoleChannel()]
    telegram, webhook = settings.telegram, settings.webhook
    master = webhook.secret.get_secret_value()
    if master:
        channels.append(
            WebhookChannel(
                master,
                SystemClock(),
                timeout_s=webhook.timeout_s,
                allow_loopback=webhook.allow_loopback,
            )
        )
    token = telegram.token.get_secret_value()
    if not token:
        return channels, None
    from teleglas_notification.channels.bot_api import telegram_bot

    bot = telegram_bot(token, telegram.api_url, telegram.call_timeout_s)
    channels.append(TelegramChannel(bot, token, telegram.call_timeout_s))
    return channels, bot


def candles_of(settings: Settings, metrics: Metrics) -> MarketDataCandles | None:
    target = settings.market_data.target
    return (
        MarketDataCandles(target, signer_of(settings.principal_secret), metrics) if target else None
    )


def build_app(settings: Settings) -> NotificationApp:
    return NotificationApp(settings, create_bus(settings.kafka, f"teleglas-{SERVICE}"))

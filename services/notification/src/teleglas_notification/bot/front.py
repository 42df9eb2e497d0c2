"""The bot's side of the service: takes updates by polling or by webhook, as the settings say."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import Any, Protocol

import asyncpg
import structlog

from teleglas_common.clock import SystemClock
from teleglas_common.retry import Backoff, retry
from teleglas_notification.adapters.leader import Leader
from teleglas_notification.bot.desk import Desk, Newcomers
from teleglas_notification.bot.updates import ALLOWED, Poller, Receptionist, WebhookServer
from teleglas_notification.channels.masking import masked
from teleglas_notification.counts import Counts
from teleglas_notification.domain.commands import Watch
from teleglas_notification.settings import TelegramSection

__all__ = ["Front"]

LEASE_S = 90.0

log = structlog.get_logger(__name__)


class HasPool(Protocol):
    """A database, once it is started."""

    @property
    def pool(self) -> asyncpg.Pool[Any]: ...


class Front:
    """Starts after the database; the channel closes the bot's session."""

    def __init__(
        self, section: TelegramSection, bot: Any, database: HasPool, counts: Counts
    ) -> None:
        self._section = section
        self._bot = bot
        self._database = database
        self._counts = counts
        self._leader: Leader | None = None
        self._server: WebhookServer | None = None
        self._poller: Poller | None = None
        self._polling: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        section, clock = self._section, SystemClock()
        pool, token = self._database.pool, section.token.get_secret_value()
        desk = Desk(pool, clock, newcomers_of(section), section.commands_per_minute)
        receptionist = Receptionist(self._bot, token, desk, self._counts)
        if section.updates == "webhook":
            secret = section.webhook_secret.get_secret_value()
            self._server = WebhookServer(
                receptionist, secret, section.webhook_host, section.webhook_port
            )
            await self._server.start()
            return
        self._leader = Leader(pool, clock, "telegram-updates", secrets.token_hex(8), LEASE_S)
        self._poller = Poller(
            self._bot,
            token,
            receptionist,
            clock,
            poll_s=section.poll_s,
            is_ours=self._leader.holds,
        )

    async def run(self) -> None:
        if self._poller is not None:
            self._polling = asyncio.create_task(self._poller.run())
        else:
            self._polling = asyncio.create_task(self._announce())
        waiting = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait({self._polling, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if self._polling.done():
                self._polling.result()
                await waiting
        finally:
            waiting.cancel()

    async def stop(self) -> None:
        self._stopping.set()
        if self._polling is not None:
            self._polling.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._polling
        if self._leader is not None:
            await self._leader.let_go()
        if self._server is not None:
            await self._server.stop()

    async def _announce(self) -> None:
        """Tell the Bot API where updates go; what it does not take after many tries is only logged,
        as messages go out without it.
        """
        section = self._section

        async def attempt() -> None:
            await self._bot.set_webhook(
                section.webhook_url,
                secret_token=section.webhook_secret.get_secret_value(),
                allowed_updates=ALLOWED,
            )

        try:
            await retry(attempt, Exception, backoff=Backoff(tries=20, first_s=0.5, max_s=60.0))
        except Exception as error:  # noqa: BLE001 - see above
            token = section.token.get_secret_value()
            told = masked(f"{type(error).__name__}: {error}", token)[:200]
            log.warning("no webhook", cause=told)


def newcomers_of(section: TelegramSection) -> Newcomers:
    """What /start gives."""
    least = section.default_min_notional or None
    watch = Watch(section.watched, min_notional=least) if section.watched else None
    return Newcomers(section.tenant_id, watch, section.default_budget_per_hour)

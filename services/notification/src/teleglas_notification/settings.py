"""What notification runs with."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from teleglas_common.settings import (
    GrpcSection,
    KafkaSection,
    PostgresSection,
    PrincipalSettings,
    Section,
)
from teleglas_notification.domain.cards import KINDS

__all__ = [
    "DeliverySection",
    "MarketDataSection",
    "Settings",
    "TelegramSection",
    "WebhookSection",
]

PICTURE_S = 2.0
Seconds = Annotated[float, Field(gt=0)]


class DeliverySection(Section):
    """How messages go out, whatever the channel."""

    tries: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=200, description="calls for one message before it is kept as failed"
    )
    retry_first_s: Seconds = Field(default=1.0, description="wait after the first failure")
    retry_max_s: Seconds = Field(default=120.0, description="longest wait between two tries")
    max_unconfirmed: Annotated[int, Field(ge=1, le=100)] = Field(
        default=8, description="calls of unknown end for one message before it is given up"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        default=4, description="calls at a time on each channel"
    )
    per_second: Annotated[float, Field(gt=0, le=1_000)] = Field(
        default=25.0, description="calls a second of one channel; Telegram allows 30"
    )
    chat_gap_s: Seconds = Field(
        default=1.05,
        description="between two calls of one chat, after a burst of three; Telegram allows one a"
        " second, and short bursts",
    )
    edit_gap_s: Seconds = Field(
        default=3.0, description="better knowledge is gathered so long before a message is edited"
    )
    keep_days: Annotated[int, Field(ge=2, le=3_650)] = Field(
        default=90, description="deliveries that are over are dropped after so long"
    )
    lease_s: Annotated[float, Field(ge=20)] = Field(
        default=30.0, description="a chat of a replica that died is free again after this"
    )


class TelegramSection(Section):
    """The bot; without a token there is none."""

    token: SecretStr = Field(default=SecretStr(""), description="of the bot, from @BotFather")
    api_url: str = Field(
        default="https://api.telegram.org", description="where the Bot API answers"
    )
    updates: Literal["polling", "webhook"] = Field(
        default="polling", description="how updates come: we ask, or the Bot API calls us"
    )
    webhook_url: str = Field(
        default="", description="public HTTPS address of ours, with `updates` webhook"
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""), description="the Bot API shows it with every update; 16 or more"
    )
    webhook_host: str = Field(default="127.0.0.1", description="address to listen on for updates")
    webhook_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="port to listen on for updates; 0: any free one"
    )
    call_timeout_s: Annotated[float, Field(gt=0, le=15)] = Field(
        default=10.0, description="for one call of the Bot API"
    )
    poll_s: Annotated[int, Field(ge=1, le=50)] = Field(
        default=25, description="how long one question for updates stays open"
    )
    commands_per_minute: Annotated[int, Field(ge=1, le=600)] = Field(
        default=20, description="further commands of a chat get no answer"
    )
    tenant_id: str = Field(default="default", description="whose subscribers the chats become")
    default_watch: str = Field(
        default="", description="kinds that /start watches at once, such as `whale,liquidation`"
    )
    default_min_notional: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="least notional of what /start watches, in quote"
    )
    default_budget_per_hour: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=20, description="messages an hour of a new chat; the rest is summed up"
    )

    @property
    def watched(self) -> tuple[str, ...]:
        return tuple(kind.strip() for kind in self.default_watch.split(",") if kind.strip())

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        unknown = [kind for kind in self.watched if kind not in KINDS]
        if unknown:
            raise ValueError(f"expected kinds of {', '.join(KINDS)}, was {', '.join(unknown)}")
        secret = self.webhook_secret.get_secret_value()
        if self.updates == "webhook" and (len(secret) < 16 or not self.webhook_url):
            raise ValueError("expected a webhook URL and a webhook secret of 16 characters or more")
        return self


class WebhookSection(Section):
    """Signed HTTP calls; without a secret there are none."""

    secret: SecretStr = Field(
        default=SecretStr(""), description="the keys of all receivers are made of it; 16 or more"
    )
    timeout_s: Annotated[float, Field(gt=0, le=15)] = Field(
        default=10.0, description="for one call with its redirects"
    )
    allow_loopback: bool = Field(
        default=False, description="for tests only: reach this machine, without TLS"
    )

    @model_validator(mode="after")
    def _is_strong(self) -> Self:
        if 0 < len(self.secret.get_secret_value()) < 16:
            raise ValueError("expected a secret of 16 characters or more")
        return self


class MarketDataSection(Section):
    """Where candles for pictures come from."""

    target: str = Field(default="", description="host:port of market-data; empty: no pictures")


class Settings(PrincipalSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    grpc: GrpcSection = Field(default_factory=GrpcSection)
    delivery: DeliverySection = Field(default_factory=DeliverySection)
    telegram: TelegramSection = Field(default_factory=TelegramSection)
    webhook: WebhookSection = Field(default_factory=WebhookSection)
    market_data: MarketDataSection = Field(default_factory=MarketDataSection)

    @model_validator(mode="after")
    def _leases_outlive_calls(self) -> Self:
        longest_s = 2 * max(self.telegram.call_timeout_s, self.webhook.timeout_s) + PICTURE_S
        if self.delivery.lease_s < longest_s:
            raise ValueError(
                f"expected a lease of {longest_s:g} s or more, as long as two calls and a picture,"
                f" was {self.delivery.lease_s:g}"
            )
        return self

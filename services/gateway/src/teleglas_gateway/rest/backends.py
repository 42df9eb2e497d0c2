"""The services that need not run beside a gateway, as parameters of routes."""

from __future__ import annotations

from typing import Annotated, TypeVar

from fastapi import Depends

from teleglas_gateway.domain.problems import Code, Problem
from teleglas_gateway.ports import Notifications, Predictions, Signals, Whales
from teleglas_gateway.rest.context import RestContext
from teleglas_gateway.rest.guard import context_of

__all__ = ["NotificationsPort", "PredictionsPort", "SignalsPort", "WhalesPort"]

Context = Annotated[RestContext, Depends(context_of)]
Client = TypeVar("Client")


def _running(client: Client | None, service: str, section: str) -> Client:
    if client is None:
        raise Problem(
            Code.NOT_DEPLOYED, f"{service} does not run here: TELEGLAS_{section}__TARGET is not set"
        )
    return client


def _whales(context: Context) -> Whales:
    return _running(context.backends.whales, "whale-detector", "WHALES")


def _signals(context: Context) -> Signals:
    return _running(context.backends.signals, "signal-scorer", "SIGNALS")


def _predictions(context: Context) -> Predictions:
    return _running(context.backends.predictions, "prediction", "PREDICTIONS")


def _notifications(context: Context) -> Notifications:
    return _running(context.backends.notifications, "notification", "NOTIFICATIONS")


WhalesPort = Annotated[Whales, Depends(_whales)]
SignalsPort = Annotated[Signals, Depends(_signals)]
PredictionsPort = Annotated[Predictions, Depends(_predictions)]
NotificationsPort = Annotated[Notifications, Depends(_notifications)]
"""Named after the key in a route's parameters, so that a stranger hears of the key first."""

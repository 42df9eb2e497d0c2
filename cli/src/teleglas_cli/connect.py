"""Connections of the command line: what the environment names, else the running local stack."""

from __future__ import annotations

import os

from pydantic import SecretStr

from teleglas_cli.running import Running
from teleglas_common.bus.ports import Bus
from teleglas_common.kafka import create_bus
from teleglas_common.settings import KafkaSection, PostgresSection, ServiceSettings, read

__all__ = ["bus", "database", "gateway"]


class _Environment(ServiceSettings):
    kafka: KafkaSection | None = None
    postgres: PostgresSection | None = None


def bus() -> Bus:
    """The bus of TELEGLAS_KAFKA__*, else of the running stack."""
    section = read(_Environment).kafka
    if section is None:
        section = KafkaSection(bootstrap=Running.read().kafka_bootstrap)
    return create_bus(section, "teleglas-cli")


def database() -> PostgresSection:
    """The database of TELEGLAS_POSTGRES__*, else of the running stack."""
    section = read(_Environment).postgres
    if section is None:
        section = PostgresSection(dsn=SecretStr(Running.read().postgres_dsn))
    return section


def gateway() -> tuple[str, str]:
    """URL and key of TELEGLAS_GATEWAY_URL and TELEGLAS_API_KEY, else of the running stack."""
    url, key = os.environ.get("TELEGLAS_GATEWAY_URL"), os.environ.get("TELEGLAS_API_KEY")
    if url and key:
        return url.rstrip("/"), key
    running = Running.read()
    return running.gateway_url, running.demo_key

"""What the service may be started with."""

from __future__ import annotations

import pytest

from teleglas_common.settings import ConfigError, read
from teleglas_notification.settings import Settings

NEEDED = {"KAFKA__BOOTSTRAP": "127.0.0.1:9092", "POSTGRES__DSN": "postgresql://127.0.0.1/x"}


def settings_of(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in {**NEEDED, **values}.items():
        monkeypatch.setenv(f"TELEGLAS_{name}", value)
    return read(Settings)


def test_settings_without_a_token_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the log and the database must be named."""
    assert settings_of(monkeypatch).telegram.token.get_secret_value() == ""


def test_settings_never_show_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither printed nor dumped."""
    settings = settings_of(monkeypatch, TELEGRAM__TOKEN="1:very-secret-token")
    assert "very-secret-token" not in f"{settings!r}{settings.model_dump_json()}"


@pytest.mark.parametrize(
    "values",
    [
        {"TELEGRAM__DEFAULT_WATCH": "whale,cats"},
        {"TELEGRAM__UPDATES": "webhook"},
        {"WEBHOOK__SECRET": "short"},
        {"DELIVERY__LEASE_S": "20"},
        {"REQUIRE_PRINCIPAL": "true"},
    ],
)
def test_settings_that_cannot_work_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str]
) -> None:
    """Before anything starts."""
    with pytest.raises(ConfigError, match="expected"):
        settings_of(monkeypatch, **values)

from pathlib import Path

import pytest
from pydantic import Field

from teleglas_common.settings import (
    ConfigError,
    KafkaSection,
    PostgresSection,
    ServiceSettings,
    load,
    read,
    settings_table,
)


class Example(ServiceSettings):
    kafka: KafkaSection
    postgres: PostgresSection
    window_s: float = Field(default=5.0, gt=0, description="how far back it looks")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("TELEGLAS_KAFKA__BOOTSTRAP", "localhost:9092")
    monkeypatch.setenv("TELEGLAS_POSTGRES__DSN", "postgresql://u:hunter2@localhost/x")
    return monkeypatch


def test_settings_are_read_from_the_environment_and_frozen(
    environment: pytest.MonkeyPatch,
) -> None:
    """Nested fields are joined by two underscores, and nothing changes afterwards."""
    environment.setenv("TELEGLAS_WINDOW_S", "7.5")
    settings = read(Example)
    assert (settings.kafka.bootstrap, settings.window_s) == ("localhost:9092", 7.5)
    with pytest.raises(ValueError, match="frozen"):
        settings.window_s = 1.0


def test_every_fault_is_named_at_once(environment: pytest.MonkeyPatch) -> None:
    """One look shows all that is wrong, with the variable's own name."""
    environment.delenv("TELEGLAS_KAFKA__BOOTSTRAP")
    environment.setenv("TELEGLAS_WINDOW_S", "-1")
    environment.setenv("TELEGLAS_HTTP__PORT", "99999")
    with pytest.raises(ConfigError) as caught:
        read(Example)
    for name in ("TELEGLAS_KAFKA", "TELEGLAS_WINDOW_S", "TELEGLAS_HTTP__PORT"):
        assert name in str(caught.value)


def test_secrets_never_show(
    environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither a faulty nor a printed configuration gives a password away."""
    with pytest.raises(SystemExit) as ended:
        load(Example, ["--check-config"])
    assert ended.value.code == 0
    environment.setenv("TELEGLAS_WINDOW_S", "x")
    with pytest.raises(SystemExit) as ended:
        load(Example, [])
    assert ended.value.code == 2
    shown = capsys.readouterr()
    assert "hunter2" not in shown.out + shown.err
    assert "localhost:9092" in shown.out


def test_a_file_holds_a_secret(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A variable with _FILE behind its name gives a file with the value."""
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://from-file\n")
    environment.delenv("TELEGLAS_POSTGRES__DSN")
    environment.setenv("TELEGLAS_POSTGRES__DSN_FILE", str(secret))
    assert read(Example).postgres.dsn.get_secret_value() == "postgresql://from-file"


def test_the_table_names_every_variable() -> None:
    """The generated page lists what a service reads, with defaults and meaning."""
    page = settings_table({"example": Example})
    assert "| `TELEGLAS_KAFKA__BOOTSTRAP` | str | required |" in page
    assert "| `TELEGLAS_WINDOW_S` | float | `5.0` | how far back it looks |" in page

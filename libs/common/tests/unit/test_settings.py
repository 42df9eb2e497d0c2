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
)
from teleglas_common.settings_page import settings_table


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
        settings.window_s = 1.0  # type: ignore[misc]


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


def test_a_folder_holds_secrets_and_the_environment_wins(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files called like variables are read, other files are not, and a set variable stays."""
    environment.delenv("TELEGLAS_POSTGRES__DSN")
    environment.setenv("TELEGLAS_SECRETS_DIR", str(tmp_path))
    (tmp_path / "TELEGLAS_POSTGRES__DSN").write_text("postgresql://mounted")
    (tmp_path / "TELEGLAS_KAFKA__BOOTSTRAP").write_text("elsewhere:9092")
    (tmp_path / "README").write_text("not a variable")
    settings = read(Example)
    assert settings.postgres.dsn.get_secret_value() == "postgresql://mounted"
    assert settings.kafka.bootstrap == "localhost:9092"


def test_a_missing_secret_file_is_named(environment: pytest.MonkeyPatch) -> None:
    """A wrong mount is a fault of the configuration, not a traceback."""
    environment.delenv("TELEGLAS_POSTGRES__DSN")
    environment.setenv("TELEGLAS_POSTGRES__DSN_FILE", "/nowhere/dsn")
    with pytest.raises(ConfigError, match="TELEGLAS_POSTGRES__DSN: expected a readable file"):
        read(Example)


class Optional(ServiceSettings):
    postgres: PostgresSection | None = None


def test_an_optional_section_has_variables_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A section that may be absent is read from the same variables and files when it is there."""
    assert read(Optional).postgres is None
    secret = tmp_path / "dsn"
    secret.write_text("postgresql://from-file")
    monkeypatch.setenv("TELEGLAS_POSTGRES__DSN_FILE", str(secret))
    postgres = read(Optional).postgres
    assert postgres is not None
    assert postgres.dsn.get_secret_value() == "postgresql://from-file"


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TELEGLAS_HTTP__PORT", "http", "TELEGLAS_HTTP__PORT: expected a valid integer"),
        ("TELEGLAS_HTTP__PORT", "-1", "TELEGLAS_HTTP__PORT: expected greater than or equal to 0"),
        ("TELEGLAS_KAFKA__BOOTSTRP", "x", "TELEGLAS_KAFKA__BOOTSTRP: expected a known variable"),
        ("TELEGLAS_TELEMETRY__LOG_LEVEL", "LOUD", "expected 'DEBUG', 'INFO'"),
        ("TELEGLAS_KAFKA", "{broken", "expected one variable a value, not JSON"),
    ],
)
def test_a_fault_says_what_was_expected(
    environment: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    """Whatever is wrong is said in plain words beside the variable's name."""
    environment.setenv(variable, value)
    with pytest.raises(ConfigError) as caught:
        read(Example)
    assert expected in str(caught.value)


def test_a_faulty_secret_is_not_shown(environment: pytest.MonkeyPatch) -> None:
    """An error names a secret's variable, never its value."""
    environment.setenv("TELEGLAS_REDIS__URL", "x")
    environment.setenv("TELEGLAS_TOKEN", "hunter3")

    class WithToken(Example):
        token: int

    with pytest.raises(ConfigError) as caught:
        read(WithToken)
    assert "TELEGLAS_TOKEN" in str(caught.value)
    assert "hunter" not in str(caught.value)


def test_the_page_names_every_variable_once() -> None:
    """What all services share stands in one table, what a service adds in its own."""
    page = settings_table({"example": Example, "optional": Optional})
    assert "| `TELEGLAS_KAFKA__BOOTSTRAP` | text | required |" in page
    assert "| `TELEGLAS_WINDOW_S` | number | `5.0` | how far back it looks |" in page
    assert page.count("| `TELEGLAS_POSTGRES__DSN` | secret | required |") == 2
    assert page.count("`TELEGLAS_HTTP__PORT`") == 1

"""Which services a run starts, and what each is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from teleglas_cli.up import services
from teleglas_cli.up.chat import chat_of
from teleglas_cli.up.options import Options
from teleglas_cli.up.product import Product
from teleglas_cli.up.services import SPINE, TABLE, Service, chosen, plan, service_process

ALL = tuple(row.name for row in TABLE)
TOKEN = "123:real"  # of nobody


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A product of all seven services."""
    monkeypatch.setattr(services, "STARTED", ALL)


@pytest.mark.usefixtures("whole")
def test_services_are_left_out_only_when_it_is_asked_for() -> None:
    """All, the spine, or all but those that are named."""
    assert chosen(False, ()) == ALL
    assert set(chosen(True, ())) == set(SPINE)
    assert chosen(False, ("prediction",)) == tuple(name for name in ALL if name != "prediction")


@pytest.mark.usefixtures("whole")
@pytest.mark.parametrize("name", ["gateway", "predictions", ""])
def test_a_service_that_cannot_be_left_out_is_named(name: str) -> None:
    """Neither the spine nor a misspelt name is skipped in silence."""
    with pytest.raises(ValueError, match=f"was '{name}'"):
        chosen(False, (name,))


def test_services_find_those_that_run_and_no_others() -> None:
    """A target without a service behind it would be an outage, none at all is `not_deployed`."""
    layout = plan(0, ALL)
    assert set(layout.targets("gateway")) == {row.target for row in TABLE if row.target}
    assert len({*layout.http_ports.values(), *layout.grpc_ports.values(), layout.chat_port}) == 13
    fewer = plan(0, SPINE)
    assert set(fewer.targets("gateway")) == {"TELEGLAS_MARKET_DATA__TARGET"}
    assert fewer.targets("gateway")["TELEGLAS_MARKET_DATA__TARGET"] == fewer.market_data_target


def test_each_service_gets_its_own_ports_and_secrets(tmp_path: Path) -> None:
    """Where it answers, and what it alone may know."""
    layout = plan(0, ALL)
    scorer = service_process("signal-scorer", {"A": "1"}, layout, tmp_path)
    assert scorer.argv[1:] == ("-m", "teleglas_signal_scorer.main")
    assert scorer.env == {
        "A": "1",
        "TELEGLAS_HTTP__PORT": str(layout.http_ports["signal-scorer"]),
        "TELEGLAS_GRPC__PORT": layout.targets("gateway")["TELEGLAS_SIGNALS__TARGET"].rpartition(
            ":"
        )[2],
    }
    ingest = service_process("ingest", {}, layout, tmp_path, {"OWN": "x"})
    assert ingest.env is not None
    assert ingest.env["OWN"] == "x"
    assert "TELEGLAS_GRPC__PORT" not in ingest.env


def test_a_row_may_ask_for_a_folder_of_its_own(tmp_path: Path) -> None:
    """Below the run's state, so that it goes with it."""
    row = Service("prediction", "T", extra=(("TELEGLAS_MODELS__FOLDER", "{folder}/models"),))
    assert row.own_environment(tmp_path) == {
        "TELEGLAS_MODELS__FOLDER": str(tmp_path / "prediction" / "models")
    }


def test_alerts_go_to_a_chat_here_with_a_token_of_its_own(tmp_path: Path) -> None:
    """The token is in two environments and on no command line."""
    layout = plan(0, ALL)
    chat = chat_of(layout, tmp_path, {"PATH": "/bin"})
    token = chat.settings["TELEGLAS_TELEGRAM__TOKEN"]
    assert chat.settings["TELEGLAS_TELEGRAM__API_URL"] == chat.url == layout.chat_url
    assert chat.process is not None
    assert chat.process.env is not None
    assert chat.process.env["TELEGLAS_BOTAPI_TOKEN"] == token
    assert not any(token in argument for argument in chat.process.argv)
    assert token != chat_of(layout, tmp_path, {}).settings["TELEGLAS_TELEGRAM__TOKEN"]


def test_a_real_token_means_the_real_telegram(tmp_path: Path) -> None:
    """No chat here, and the API's own address."""
    chat = chat_of(plan(0, ALL), tmp_path, {"TELEGRAM_TOKEN": TOKEN})
    assert (chat.process, chat.url) == (None, "")
    assert dict(chat.settings) == {"TELEGLAS_TELEGRAM__TOKEN": TOKEN}


@pytest.mark.usefixtures("whole")
def test_a_product_without_notification_has_no_chat(tmp_path: Path) -> None:
    """What nobody writes to is not started."""
    said: list[str] = []
    without = Product(Options(tmp_path, without=("notification",)), said.append)
    assert "notification" not in without.layout.services
    assert without._chat is None
    assert Product(Options(tmp_path), said.append)._chat is not None


def test_data_is_drained_along_its_way() -> None:
    """The order of stopping is the table's: nobody is stopped before those that write to them."""
    assert (
        *("ingest", "market-data", "whale-detector", "signal-scorer", "prediction"),
        *("notification", "gateway"),
    ) == ALL

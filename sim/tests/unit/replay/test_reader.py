"""Lines of both capture formats become the same records."""

import gzip
from pathlib import Path

import pytest

from teleglas_sim.replay.reader import expand, read_capture
from teleglas_sim.replay.records import CaptureError, Kind, Recorded


def test_ns_lines_hold_frames_and_answers(tmp_path: Path) -> None:
    """A line of format (a) is a receive time and the venue's text, byte for byte."""
    path = tmp_path / "spot_btcusdt_20240808.gz"
    frame = b'{"stream":"btcusdt@trade","data":{"p":"1.10","x": "\xc3\xa9"}}'
    answer = b'{"lastUpdateId":7,"bids":[],"asks":[]}'
    path.write_bytes(
        gzip.compress(b"1723161253937085768 %b\n1723161253937085769 %b\n" % (frame, answer))
    )

    assert list(read_capture(path)) == [
        Recorded(1723161253937085768, Kind.FRAME, "", frame),
        Recorded(1723161253937085769, Kind.ANSWER, "", answer),
    ]


def test_addressed_lines_hold_frames_of_their_connection(tmp_path: Path) -> None:
    """Format (b) names the connection once; what the client said is left out."""
    path = tmp_path / "OKX.ws.1.0"
    path.write_text(
        "wss://ws.okx.com:8443/ws/v5/public <-> 1652459224.53\n"
        'wss://ws.okx.com:8443/ws/v5/public <- 1652459225.2: {"op":"subscribe"}\n'
        '1652459225.5037491: {"event":"subscribe"}\n'
        "\n"
        '1652459226.5: {"arg":{"channel":"trades"},"data":[]}\n'
    )

    url = "wss://ws.okx.com:8443/ws/v5/public"
    assert list(read_capture(path)) == [
        Recorded(1652459225503749100, Kind.FRAME, url, b'{"event":"subscribe"}'),
        Recorded(1652459226500000000, Kind.FRAME, url, b'{"arg":{"channel":"trades"},"data":[]}'),
    ]


def test_addressed_lines_hold_rest_answers(tmp_path: Path) -> None:
    """A REST line of format (b) keeps its address."""
    path = tmp_path / "OKX.0"
    path.write_text(
        "https://www.okx.com/api/v5/public/instruments?instType=SPOT -> 1652458996.25: "
        '{"code":"0"}\n'
        'configuration: {"trades":[]}\n'
    )

    (record,) = read_capture(path)
    assert record.kind is Kind.ANSWER
    assert record.url.endswith("instruments?instType=SPOT")
    assert record.payload == b'{"code":"0"}'


def test_a_connection_file_brings_its_rest_answers(tmp_path: Path) -> None:
    """`NAME.0` is found beside `NAME.ws.1.0`, and each file is taken once."""
    for name in ("OKX.0", "OKX.ws.1.0", "OKX.ws.2.0"):
        (tmp_path / name).write_text("x")

    found = expand([tmp_path / "OKX.ws.1.0", tmp_path / "OKX.ws.2.0"])
    assert sorted(path.name for path in found) == ["OKX.0", "OKX.ws.1.0", "OKX.ws.2.0"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello\n", "in the first line, was b'hello"),
        (b"1723161253937085768 {}\nnonsense\n", "expected '<ns> <json>', was b'nonsense"),
        (gzip.compress(b"1723161253937085768 {}\n" * 5000)[:60], "cut short"),
    ],
    # A name of its own: gzip writes the time into its header, and workers must collect alike.
    ids=["no time", "no frame", "cut short"],
)
def test_a_broken_file_is_named_with_what_was_there(
    tmp_path: Path, content: bytes, message: str
) -> None:
    """The error says which file, what was expected and what was found."""
    path = tmp_path / "broken.gz"
    path.write_bytes(content)

    with pytest.raises(CaptureError) as caught:
        list(read_capture(path))
    assert message in str(caught.value)
    assert "broken.gz" in str(caught.value)

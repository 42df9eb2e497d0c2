"""Files of a recording."""

from pathlib import Path

import pytest

from teleglas_sim.replay.capture_writer import CaptureWriter
from teleglas_sim.replay.reader import read_capture

_BEFORE_MIDNIGHT = 1_723_161_599_999_999_999


def test_midnight_and_size_begin_a_new_file(tmp_path: Path) -> None:
    """The day is that of the receive time in UTC."""
    writer = CaptureWriter(tmp_path, "spot", rotate_bytes=60)
    frame = b'{"stream":"btcusdt@trade","data":{}}'
    for ts_recv in (_BEFORE_MIDNIGHT - 1, _BEFORE_MIDNIGHT, _BEFORE_MIDNIGHT, _BEFORE_MIDNIGHT + 1):
        writer.write(ts_recv, "BTCUSDT", frame)
    writer.close()

    counts = {path.name: len(list(read_capture(path))) for path in writer.paths}
    assert counts == {
        "spot_btcusdt_20240808.gz": 2,
        "spot_btcusdt_20240808.2.gz": 1,
        "spot_btcusdt_20240809.gz": 1,
    }


def test_what_is_flushed_can_be_read_while_the_file_is_open(tmp_path: Path) -> None:
    """An existing file of an earlier run is left alone."""
    (tmp_path / "spot_btcusdt_20240808.gz").write_bytes(b"earlier")
    writer = CaptureWriter(tmp_path, "spot", rotate_bytes=1 << 20)
    writer.write(_BEFORE_MIDNIGHT, "BTCUSDT", b"{}")
    writer.flush()
    assert writer.paths[0].name == "spot_btcusdt_20240808.2.gz"
    assert writer.paths[0].stat().st_size > 0
    writer.close()
    assert (tmp_path / "spot_btcusdt_20240808.gz").read_bytes() == b"earlier"


def test_a_payload_of_two_lines_is_refused(tmp_path: Path) -> None:
    """It would not come back as one frame."""
    with pytest.raises(ValueError, match="expected one line"):
        CaptureWriter(tmp_path, "spot", 1).write(0, "BTCUSDT", b"{\n}")

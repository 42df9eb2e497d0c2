"""TLS towards a server, by files that may be replaced while we run."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

__all__ = ["ReloadingContext", "changed_at"]

_log = logging.getLogger(__name__)


def changed_at(files: Sequence[Path | None]) -> tuple[int, ...]:
    """When each file was last written; a mounted secret changes by its link's target."""
    return tuple(file.stat().st_mtime_ns for file in files if file is not None)


class ReloadingContext(ssl.SSLContext):
    """Verifies the server by name against `ca_file` (none: the machine's own authorities) and shows
    our certificate if there is one. Files that changed are read before the next handshake.

    A new authority is trusted beside the old one until the process ends. What cannot be read leaves
    the last good state, as files are replaced one after the other.
    """

    _files: tuple[Path | None, Path | None, Path | None]
    _seen: tuple[int, ...]

    def __new__(
        cls, ca_file: Path | None, cert_file: Path | None = None, key_file: Path | None = None
    ) -> Self:
        self = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        self.minimum_version = ssl.TLSVersion.TLSv1_2
        self._files = (ca_file, cert_file, key_file)
        if ca_file is None:
            self.load_default_certs()
        self._read()
        return self

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:
        """What asyncio and uvloop call for each connection."""
        try:
            if changed_at(self._files) != self._seen:
                self._read()
        except (OSError, ssl.SSLError) as error:
            _log.warning("certificates could not be read again: %s", error)
        return super().wrap_bio(*args, **kwargs)

    def _read(self) -> None:
        ca_file, cert_file, key_file = self._files
        seen = changed_at(self._files)
        if ca_file is not None:
            self.load_verify_locations(ca_file)
        if cert_file is not None:
            self.load_cert_chain(cert_file, key_file)
        self._seen = seen

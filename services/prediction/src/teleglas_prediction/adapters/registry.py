"""Trained models on disk: one JSON file a model, named by the hash of what it holds.

A file is data that others may have written: each is bounded, typed, hashed and checked against this
program's horizons and features before a number of it is used, and refused by name otherwise.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Literal

import msgspec

from teleglas_prediction.domain.features import FEATURES
from teleglas_prediction.domain.horizons import BY_NS
from teleglas_prediction.domain.models import BOOSTED, Boosted
from teleglas_prediction.domain.trees import Trees, TreesError
from teleglas_prediction.lineups import KnownModel, Lineups

__all__ = ["Body", "PackedTrees", "RefusedError", "load_model", "load_registry", "save_model"]

FORMAT: Literal["teleglas-model-1"] = "teleglas-model-1"
MAX_FILE_BYTES = 16 << 20
MAX_FILES = 200
VERSION_CHARS = 12
SURE_T = 2.0
"""A walk-forward skill counts where it lies so many standard errors above 0."""


class RefusedError(ValueError):
    """A file of the registry is not used; `cause` is a stable name that metrics count by."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(f"{cause}: {detail}")
        self.cause = cause


class PackedTrees(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As in `domain.trees.Trees.of`."""

    roots: list[int]
    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]

    def unpacked(self) -> Trees:
        return Trees.of(
            self.roots,
            self.feature,
            self.threshold,
            self.left,
            self.right,
            features=len(FEATURES),
        )


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model and where it comes from. Metrics are those of walk-forward, out of sample."""

    name: Literal["boosted"]
    horizon_ns: int
    interval: str
    features: list[str]
    ts_data_from: int
    ts_data_to: int
    training_data_sha256: str
    metrics: dict[str, float]
    shift: PackedTrees
    spread: PackedTrees

    @property
    def sha256(self) -> str:
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


class ModelFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in a file."""

    format: Literal["teleglas-model-1"]
    sha256: str
    body: Body


_DECODER = msgspec.json.Decoder(ModelFile)


def save_model(folder: Path, body: Body) -> Path:
    """Write a model into the registry; the same model gives the same file."""
    folder.mkdir(parents=True, exist_ok=True)
    sha256 = body.sha256
    name = f"{body.name}-{BY_NS[body.horizon_ns].name}-{sha256[:VERSION_CHARS]}.json"
    path = folder / name
    partial = path.with_suffix(".partial")
    partial.write_bytes(msgspec.json.encode(ModelFile(FORMAT, sha256, body)))
    partial.replace(path)
    return path


def load_registry(folder: Path | None) -> Lineups:
    """Every usable model of a folder, and the refused ones; never raises for a file."""
    trained: list[KnownModel] = []
    refusals: list[tuple[str, str]] = []
    paths = sorted(folder.glob("*.json")) if folder is not None and folder.is_dir() else []
    for path in paths[:MAX_FILES]:
        try:
            trained.append(load_model(path))
        except RefusedError as error:
            refusals.append((path.name, error.cause))
    refusals += [(path.name, "too_many_files") for path in paths[MAX_FILES:]]
    return Lineups(trained, refusals)


def load_model(path: Path) -> KnownModel:
    """One model; raises RefusedError with a stable cause."""
    body = _read(path)
    horizon = BY_NS.get(body.horizon_ns)
    if horizon is None or body.interval != horizon.interval:
        raise RefusedError(
            "foreign_horizon", f"expected a known horizon and its interval, was {body.horizon_ns}"
        )
    if tuple(body.features) != FEATURES:
        raise RefusedError("foreign_features", f"expected {FEATURES}, was {body.features[:50]}")
    if not all(math.isfinite(value) for value in body.metrics.values()):
        raise RefusedError("impossible_metrics", "expected finite metrics")
    if not 0 < body.ts_data_from < body.ts_data_to < 1 << 62:
        raise RefusedError("impossible_range", f"expected a range, was {body.ts_data_from}")
    try:
        shift, spread = body.shift.unpacked(), body.spread.unpacked()
    except (TreesError, OverflowError) as error:
        raise RefusedError("impossible_trees", str(error)) from error
    metrics = body.metrics
    return KnownModel(
        Boosted(
            body.sha256[:VERSION_CHARS],
            shift,
            spread,
            has_direction=_is_sure(metrics, "median_skill"),
            name=BOOSTED,
        ),
        body.horizon_ns,
        tuple(body.features),
        body.ts_data_from,
        body.ts_data_to,
        body.training_data_sha256,
        dict(metrics),
        beats_walk=_is_sure(metrics, "skill"),
    )


def _is_sure(metrics: dict[str, float], name: str) -> bool:
    return metrics.get(name, 0.0) > 0 and metrics.get(f"{name}_t", 0.0) > SURE_T


def _read(path: Path) -> Body:
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise RefusedError(
                "too_large", f"expected at most {MAX_FILE_BYTES} bytes, was {size} ({path.name})"
            )
        found = _DECODER.decode(path.read_bytes())
    except OSError as error:
        raise RefusedError("unreadable", f"{path.name}: {error}") from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RefusedError("malformed", f"{path.name}: {error}") from error
    if found.sha256 != found.body.sha256:
        raise RefusedError("wrong_hash", f"expected {found.body.sha256}, says {found.sha256[:64]}")
    return found.body

"""What tests of every package share."""

from teleglas_common.testing.eventually import eventually

__all__ = ["eventually"]

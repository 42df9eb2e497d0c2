"""Fixtures that the tests of every package share."""

pytest_plugins = ("teleglas_cli.testing",)

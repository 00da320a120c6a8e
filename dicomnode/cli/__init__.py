"""The command `dicomnode`: one module a verb, an operator's tool."""

from dicomnode.cli.app import main

__all__ = ["main"]

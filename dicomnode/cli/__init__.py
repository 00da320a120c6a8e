"""Room."""


def main() -> None:
    """Run it."""

"""The few words that systemd wants to hear (sd_notify, Type=notify)."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Sends READY, STATUS, WATCHDOG and STOPPING to systemd; silent where there is none.

    The variable is taken out of the environment, so that no child can speak for the service
    (NotifyAccess=main would reject it, and log that it did).
    """

    def __init__(self, environ: dict[str, str] | None = None) -> None:
        variables = os.environ if environ is None else environ
        path = variables.pop("NOTIFY_SOCKET", "")
        # sd_notify(3): "@" stands for the NUL that begins an abstract socket's name
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        watchdog_us = int(variables.pop("WATCHDOG_USEC", "0") or "0")
        self.watchdog_s = (
            watchdog_us / 1e6 / 3
        )  # sd_watchdog_enabled(3): at least every half; a third is safe

    def tell(self, **words: str | int) -> None:
        """Send the words, as in `tell(READY=1, STATUS="receiving on port 11112")`."""
        if not self._address:
            return
        message = "\n".join(f"{name}={value}" for name, value in words.items()).encode()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            try:
                channel.sendto(message, self._address)
            except OSError:
                # systemd is gone or restarts: nothing that the node could do, and nothing that it needs
                return

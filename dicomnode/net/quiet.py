"""What pynetdicom would say by itself is turned off: our own lines tell it, without a patient's data."""

from __future__ import annotations

import logging

from pynetdicom import _config


def quiet_pynetdicom() -> None:
    """Turn off pynetdicom's own log lines; doing it again changes nothing.

    Its standard handlers write each message with its attributes, identifiers of queries (names of
    patients) among them. Call it before an association is made: handlers are bound then.
    """
    _config.LOG_HANDLER_LEVEL = "none"
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)

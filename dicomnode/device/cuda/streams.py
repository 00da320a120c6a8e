"""Streams, in which work is queued, and events, which mark a place in one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomnode.device.cuda.context import CudaContext


class Event:
    """A place in a stream."""

    __slots__ = ("_context", "_event")

    def __init__(self, context: CudaContext) -> None:
        self._context = context
        with context.working("making an event") as driver:
            self._event: Any = driver.Event()

    @property
    def raw(self) -> Any:
        """The event of PyCUDA."""
        return self._event

    def record(self, stream: Stream) -> Event:
        """Mark the place that `stream` has come to; marked before, it moves."""
        with self._context.working("marking a place in a stream"):
            self._event.record(stream.raw)
        return self

    @property
    def done(self) -> bool:
        """Tell whether the device has passed it; does not wait."""
        with self._context.working("looking at an event"):
            return bool(self._event.query())

    def synchronize(self) -> None:
        """Wait until the device has passed it."""
        with self._context.working("waiting for work"):
            self._event.synchronize()


class Stream:
    """A queue of work: what stands in it happens in order, at the device's own time.

    Never the default stream: that one waits for all others and they for it.
    """

    __slots__ = ("_context", "_stream")

    def __init__(self, context: CudaContext) -> None:
        self._context = context
        with context.working("making a stream") as driver:
            self._stream: Any = driver.Stream()

    @property
    def raw(self) -> Any:
        """The stream of PyCUDA."""
        return self._stream

    @property
    def handle(self) -> int:
        """The driver's handle, as TensorRT's `execute_async_v3` takes it."""
        return int(self._stream.handle)

    def mark(self) -> Event:
        """Return a new event at the place that it has come to."""
        return Event(self._context).record(self)

    def wait(self, event: Event) -> None:
        """Let what is queued from now on wait for `event`, of whatever stream; does not wait itself."""
        with self._context.working("queueing a wait"):
            self._stream.wait_for_event(event.raw)

    def synchronize(self) -> None:
        """Wait until all that is queued has happened; failures of earlier work come to light here."""
        with self._context.working("waiting for work"):
            self._stream.synchronize()

    def close(self) -> None:
        """Let go of it."""
        self._stream = None

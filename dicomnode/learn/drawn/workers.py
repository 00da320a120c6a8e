"""Processes that do what is asked of them, and give it back in the order in which it was asked.

They end by themselves when the process that asks ends, however it ends: their input ends with it. With none
of them everything is done here; what comes out is the same.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any, Final, Self, TypeVar, cast

from dicomnode.faults import PLANTED_WORKER_ENDED, NodeError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

CHILD: Final = "dicomnode.learn.drawn.child"
_AHEAD: Final = 3  # questions that a worker has before it
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Failed:
    """What a worker gives in the place of an answer."""

    error: NodeError | str


class Workers:
    """So many processes, each a core. Raises NodeError(PLANTED_WORKER_ENDED) where one cannot begin."""

    def __init__(self, count: int) -> None:
        # The environment is handed on as it is; a worker's libraries are to take one core alone
        environment = {**os.environ, **_ONE_THREAD}
        # -P: what lies in the folder that this process was started in is not imported
        command = (sys.executable, "-P", "-m", CHILD)
        self._children: list[subprocess.Popen[bytes]] = []
        try:
            for _ in range(count):
                child = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env=environment,
                    start_new_session=True,  # Ctrl-C is for the process that asks; they end with it
                )
                self._children.append(child)
        except OSError as error:  # too many processes, or no memory for one more
            self.close()
            reason = f"it did not begin: {error.strerror or error}"
            raise NodeError(PLANTED_WORKER_ENDED, reason=reason) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End them."""
        for child in self._children:
            child.kill()
        for child in self._children:
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    _closed(stream)
        self._children = []

    def answers(self, function: Callable[[Asked], Answer], questions: Iterable[Asked]) -> Iterator[Answer]:
        """Yield what `function`, which has a name in a module, gives for each question, in their order.

        It is asked ahead: do not change what it reads before all answers are there.
        Raises NodeError as the function does; PLANTED_WORKER_ENDED where a process ended, or it broke.
        """
        if not self._children:
            yield from map(function, questions)
            return
        asked = iter(questions)
        waiting: deque[subprocess.Popen[bytes]] = deque()
        turn = 0
        try:
            while True:
                while len(waiting) < _AHEAD * len(self._children):
                    question = next(asked, _NOTHING)
                    if question is _NOTHING:
                        break
                    child = self._children[turn % len(self._children)]
                    turn += 1
                    _ask(child, (function, question))
                    waiting.append(child)
                if not waiting:
                    return
                yield cast("Answer", _answer(waiting.popleft()))
        finally:
            for child in waiting:  # nobody wants them any more, but the next ones come after them
                _drained(child)


_NOTHING: Final = object()


def _ask(child: subprocess.Popen[bytes], question: Any) -> None:
    stream = _stream(child.stdin)
    try:
        pickle.dump(question, stream)
        stream.flush()
    except (BrokenPipeError, OSError) as error:
        raise NodeError(PLANTED_WORKER_ENDED, reason=error.strerror or str(error)) from error


def _answer(child: subprocess.Popen[bytes]) -> Any:
    try:
        answer = pickle.load(_stream(child.stdout))  # noqa: S301  of a process that was started here
    except (EOFError, pickle.UnpicklingError) as error:
        status = child.wait()
        raise NodeError(PLANTED_WORKER_ENDED, reason=f"it ended with status {status}") from error
    if isinstance(answer, Failed):
        if isinstance(answer.error, NodeError):
            raise answer.error
        raise NodeError(PLANTED_WORKER_ENDED, reason=answer.error)
    return answer


def _drained(child: subprocess.Popen[bytes]) -> None:
    try:
        pickle.load(_stream(child.stdout))  # noqa: S301  of a process that was started here
    except (EOFError, OSError, pickle.UnpicklingError):
        return


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("a worker has pipes")
    return stream


def _closed(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:  # what was asked of it last never arrived
        return

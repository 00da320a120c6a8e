"""A worker of `workers`: reads questions, gives answers, ends with its input."""

from __future__ import annotations

import os
import pickle
import sys

from dicomnode.faults import NodeError
from dicomnode.learn.drawn.workers import Failed


def main() -> None:
    """Answer until the input ends. What libraries print goes where errors go."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    questions = sys.stdin.buffer
    while True:
        try:
            function, question = pickle.load(questions)  # noqa: S301  of the process that started this one
        except EOFError:
            return
        try:
            answer = function(question)
        except NodeError as error:
            answer = Failed(error)
        except Exception as error:  # noqa: BLE001  the process that waits must hear of whatever happened
            answer = Failed(f"{type(error).__name__}: {error}")
        try:
            pickle.dump(answer, answers)
            answers.flush()
        except BrokenPipeError:
            return


if __name__ == "__main__":
    main()

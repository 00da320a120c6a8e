"""The face of the journal for what engines are told by people; each method is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Engine

from dicomnode.journal import acceptance, feedback
from dicomnode.journal.acceptance import AskedStudy
from dicomnode.journal.connection import reading, writing
from dicomnode.journal.feedback import Act, FeedbackQuery, FeedbackRecord
from dicomnode.journal.records import Note


class Learning:
    """What `Journal` can do about feedback, and about acts of persons on engines."""

    _engine: Engine

    def feedback(self, query: FeedbackQuery) -> list[FeedbackRecord]:
        """What doctors said of findings, by the time at which their object came."""
        with reading(self._engine) as connection:
            return feedback.find(connection, query)

    def answer(self, records: Sequence[FeedbackRecord], note: Note, now: datetime) -> int:
        """Write what a person says of findings without an object; give how many say something new."""
        with writing(self._engine) as connection:
            return feedback.answer(connection, records, note, now)

    def add_act(self, act: Act) -> None:
        """Write what a person did to an engine."""
        with writing(self._engine) as connection:
            feedback.add_act(connection, act)

    def acts(self) -> list[Act]:
        """What persons did to engines, in order."""
        with reading(self._engine) as connection:
            return feedback.acts(connection)

    def asked_studies(self, engine: str, first: int) -> list[AskedStudy]:
        """The first studies that an engine was asked about, with what became of them."""
        with reading(self._engine) as connection:
            return acceptance.asked_studies(connection, engine, first)

"""Who is reader 1: authors of objects are numbered in the order of the studies that they first stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dicomnode.values import Annotation, AnnotationKind

BY = "Readers are the authors of the objects, numbered in the order of the studies."
_UNNAMED = (
    "Objects that name no author, or several people, stand as “unnamed”: whether those of two studies are of "
    "one person is not known."
)


class Authors:
    """Numbers authors as they come; call `number` study after study, sorted by UID."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._unnamed: dict[int, int] = {}  # the n-th without a name of a study: its number
        self.names: list[str] = []

    def number(self, annotations: Sequence[Annotation]) -> list[int]:
        """Return the number of the reader of each object of one study, from 0."""
        order = sorted(range(len(annotations)), key=lambda n: annotations[n].sop_instance_uid)
        numbers = [0] * len(annotations)
        unnamed: dict[AnnotationKind, dict[str, int]] = {}
        for n in order:
            one = annotations[n]
            if one.author:
                numbers[n] = self._of_author(one.author)
                continue
            # A segmentation and a report are often one person's; two segmentations are two people's. What a
            # report says of several stacks is several annotations of one object
            of_kind = unnamed.setdefault(one.kind, {})
            numbers[n] = self._of_unnamed(of_kind.setdefault(one.sop_instance_uid, len(of_kind)))
        return numbers

    def _of_author(self, author: str) -> int:
        if author not in self._known:
            self._known[author] = len(self.names)
            self.names.append(f"reader {len(self._known)}")
        return self._known[author]

    def _of_unnamed(self, nth: int) -> int:
        if nth not in self._unnamed:
            self._unnamed[nth] = len(self.names)
            self.names.append(f"unnamed {nth + 1}")
        return self._unnamed[nth]

    def remarks(self, names: Iterable[str]) -> tuple[str, ...]:
        """What must be said where some of these readers are authors who are not named."""
        return (_UNNAMED,) if any(one.startswith("unnamed") for one in names) else ()

"""What was written with a phantom is true of it by construction."""

from __future__ import annotations

from pydicom import Dataset

from dicomnode.assemble.attributes import text_of
from dicomnode.values import PHANTOM_MAKER, MadeBy


def known_by(made: MadeBy, dataset: Dataset) -> MadeBy:
    """Return how an object came about, where it may be a phantom's truth."""
    maker = (text_of(dataset, "Manufacturer"), text_of(dataset, "ManufacturerModelName"))
    return MadeBy.KNOWN if made is MadeBy.MACHINE and maker == PHANTOM_MAKER else made

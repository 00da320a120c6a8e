"""De-identified export by PS3.15 Annex E: files of patients become files of nobody to learn from.

The table of the standard is that of the library dicom-anonymizer (the extra [export]), which only this
package loads. What it does not do, or not well, is ours: items of sequences, UIDs, dates, labels, pixels, and
a second look by code that shares nothing with the first. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomnode.values.lazy import lazy_face

if TYPE_CHECKING:
    from dicomnode.learn.deidentify.keys import ExportKey, read_key, require_private_place
    from dicomnode.learn.deidentify.pixels import Mask, read_mask
    from dicomnode.learn.deidentify.profile import Options, require_library
    from dicomnode.learn.deidentify.writing import Exported, export_files

_HOMES = {
    "keys": ("ExportKey", "read_key", "require_private_place"),
    "pixels": ("Mask", "read_mask"),
    "profile": ("Options", "require_library"),
    "writing": ("Exported", "export_files"),
}

__all__ = [
    "ExportKey",
    "Exported",
    "Mask",
    "Options",
    "export_files",
    "read_key",
    "read_mask",
    "require_library",
    "require_private_place",
]

__getattr__ = lazy_face(__name__, _HOMES)

"""What of a header may be corrected, and what a correction leaves as it is: tags as numbers.

Loading this loads no library: the receiver lives on this room.
"""

from __future__ import annotations

from typing import Final

# Where an instance belongs (PS3.3 C.12.1, C.7.2.1, C.7.3.1): with another one, it is another instance
BELONGING: Final = frozenset({0x00080016, 0x00080018, 0x0020000D, 0x0020000E})

# Float, double and integer pixels (PS3.3 C.7.6.24, C.7.6.25, C.7.6.3)
OF_PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

# How the bytes of the pixels are read (PS3.3 C.7.6.3): the same bytes read otherwise are other pixels
IMAGE: Final = frozenset(
    {
        0x00280002,  # Samples per Pixel
        0x00280004,  # Photometric Interpretation
        0x00280006,  # Planar Configuration
        0x00280008,  # Number of Frames
        0x00280010,  # Rows
        0x00280011,  # Columns
        0x00280100,  # Bits Allocated
        0x00280101,  # Bits Stored
        0x00280102,  # High Bit
        0x00280103,  # Pixel Representation
    }
)

# Who wrote the file, when and how (PS3.3 C.12.1): a router stamps each copy that it passes on, and that is
# the same instance. Texts are compared as they are read, so their encoding is none of their content either.
STAMPS: Final = frozenset(
    {
        0x00080005,  # Specific Character Set
        0x00080012,  # Instance Creation Date
        0x00080013,  # Instance Creation Time
        0x00080015,  # Instance Coercion DateTime
        0x04000550,  # Modified Attributes Sequence
        0x04000561,  # Original Attributes Sequence
    }
)

# Whose it is, under which number, and who asked for it: no engine looks at these. Birth date, sex, age,
# weight and size are not among them, as an analysis may depend on them.
RENAMING: Final = STAMPS | frozenset(
    {
        0x00080050,  # Accession Number
        0x00080051,  # Issuer of Accession Number Sequence
        0x00080090,  # Referring Physician's Name
        0x00080096,  # Referring Physician Identification Sequence
        0x00081048,  # Physician(s) of Record
        0x00081060,  # Name of Physician(s) Reading Study
        0x00081070,  # Operators' Name
        0x00081110,  # Referenced Study Sequence
        0x00081120,  # Referenced Patient Sequence
        0x00100010,  # Patient's Name
        0x00100020,  # Patient ID
        0x00100021,  # Issuer of Patient ID
        0x00100022,  # Type of Patient ID
        0x00100024,  # Issuer of Patient ID Qualifiers Sequence
        0x00101000,  # Other Patient IDs
        0x00101001,  # Other Patient Names
        0x00101002,  # Other Patient IDs Sequence
        0x00101005,  # Patient's Birth Name
        0x00101040,  # Patient's Address
        0x00101060,  # Patient's Mother's Birth Name
        0x00102154,  # Patient's Telephone Numbers
        0x00104000,  # Patient Comments
        0x00200010,  # Study ID
        0x00321032,  # Requesting Physician
        0x00380010,  # Admission ID
        0x00400275,  # Request Attributes Sequence
        0x00402016,  # Placer Order Number / Imaging Service Request
        0x00402017,  # Filler Order Number / Imaging Service Request
    }
)

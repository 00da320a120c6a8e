"""The library of the extra [export] must be there."""

import pytest

pytest.importorskip("dicomanonymizer")

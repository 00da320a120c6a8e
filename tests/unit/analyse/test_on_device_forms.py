"""Every form of an engine, and the engines that ship, once more: over the device path."""

from __future__ import annotations

import pytest

from dicomnode.analyse.device_path import DevicePath
from tests.unit.analyse import test_analyst, test_forms_fields, test_forms_inputs, test_forms_rows
from tests.unit.analyse.devices import CountingKernels, on

_ON_THE_CPU = {
    "test_findings_say_what_they_were_made_from",
}


@pytest.fixture(autouse=True)
def over_the_device():
    with on(lambda: DevicePath(CountingKernels())):
        yield


lung_ct = test_analyst.lung_ct

for _module in (test_analyst, test_forms_fields, test_forms_inputs, test_forms_rows):
    globals().update(
        {
            f"{name}_{_module.__name__.rpartition('.')[2]}": test
            for name, test in vars(_module).items()
            if name.startswith("test_") and name not in _ON_THE_CPU
        }
    )

"""dicomnode: receives DICOM studies, runs an engine on them, and sends the results back to the archive."""

import os as _os
import sys as _sys

__version__ = "0.1.0"

# ONNX Runtime (1.29 and later) reports to its maker unless this variable stands when it is first imported;
# set later it does nothing for the process (PR 27379 of onnxruntime). So it is assigned here, before any room
# can import the library, and not left to what the environment says.
_VARIABLE = "ORT_DISABLE_TELEMETRY"
ORT_IMPORTED_REPORTING = "onnxruntime" in _sys.modules and _os.environ.get(_VARIABLE) != "1"
_os.environ[_VARIABLE] = "1"

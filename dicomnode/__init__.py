"""dicomnode: receives DICOM studies, runs an engine on them, and sends the results back to the archive."""

__version__ = "0.1.0"

"""Measurement Report (TID 1500) as DICOM SR."""

"""Segments as DICOM objects: Segmentation (BINARY) and Label Map Segmentation."""

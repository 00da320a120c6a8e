"""Outlines of what was found, for readers without segmentations: presentation states and structure sets."""

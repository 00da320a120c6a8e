"""The guard: what was written is read by code that did not write it, and held against the findings."""

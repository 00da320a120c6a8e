"""Pixels out of files: what a frame is (`file`), the decoders, and the limited processes that they run in."""

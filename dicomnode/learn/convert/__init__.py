"""From the files of another framework to an engine package in the making: one module for each framework.

Every converter reads, compares what it made with the source framework's own numbers, and gives a `Draft`; it
writes nothing. What a source has and the node does not do is a sentence in `Draft.left_out`, or a refusal.
"""

"""Learns where the lungs are, also where there is no air in them: from phantoms, whose labels are true there.

`worlds` are what is learned from, `scans` and `nothing` draw what the network is shown of them, `training`
learns, `judging` measures, `making` is the whole way to an engine.
"""

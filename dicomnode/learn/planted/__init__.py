"""Learns to find nodules that are planted while it learns: nobody labels anything.

`world` is what is planted into; `procedural` and `backgrounds` make worlds, `patches` draws what a network
sees of them. `training` learns, `mining` finds what is taken for nodules, `making` is the whole way.
"""

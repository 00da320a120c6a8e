"""Training: from labelled studies to an engine package, one idea a module.

`recipe` says how, `cases` and `samples` make of studies what a network is fed with (by the preparations of
the service itself), `loop` trains, `package` writes. All that decides the result is in the recipe and the
data: the same ones give the same weights on one thread of a CPU.
"""

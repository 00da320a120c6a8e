"""What trainings of drawn patients share: nobody labels anything, the patients are the phantom's.

`order` says which patients are for what, `workers` draw them, `kept` keeps them, `course` is the folder and
the machine of a training, `state` the steps of a network, `engine` and `card` what comes out.
"""

"""Learns to tell how a chest radiograph lies, from films of patients of nobody: nobody labels anything.

`patients` sends rays through phantoms, `films` and `others` make of that what a detector shows, `exams` draws
what is true of a picture. `training` learns, `judging` measures, `making` is the whole way.
"""

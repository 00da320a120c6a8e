"""Whose a study is: by its header, and by what HL7 said since."""

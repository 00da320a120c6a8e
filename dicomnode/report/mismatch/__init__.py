"""What the guard found otherwise than predicted: the error, and both in one picture."""

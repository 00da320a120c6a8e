"""What others send after our results: read in a process of its own, compared, and kept as a label."""

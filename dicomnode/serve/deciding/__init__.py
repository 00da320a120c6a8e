"""What follows from a complete study: which engine may run, wants which series, and waits for what."""

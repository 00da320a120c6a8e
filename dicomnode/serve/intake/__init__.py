"""What comes in: files into studies, notices, corrections; and when a study is complete."""

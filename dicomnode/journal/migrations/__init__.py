"""Migrations of the journal, one file a revision; never changed after a release."""

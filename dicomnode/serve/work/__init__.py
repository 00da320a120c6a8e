"""Doing tasks of the journal: claiming them, keeping the lease, carrying out, ending."""

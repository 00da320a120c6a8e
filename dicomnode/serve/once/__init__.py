"""Work without the service, or beside it: a folder tried, an engine measured or calibrated, kept findings."""

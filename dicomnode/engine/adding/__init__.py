"""`engine add`: a foreign network is looked at, tried in a child, asked about, and written as a package."""

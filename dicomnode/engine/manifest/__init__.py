"""engine.toml: what it can say (`tree` and its parts), and how it is read, all of its problems at once."""

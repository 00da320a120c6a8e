"""Documents that point at objects: key objects, and rejection notes."""

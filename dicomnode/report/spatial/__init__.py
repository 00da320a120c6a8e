"""How one series lies over another one: Spatial Registration objects, and the moved series as images."""

"""Fields: numbers for each voxel as objects, on grids of their own: parametric maps and derived images."""

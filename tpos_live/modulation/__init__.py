"""Features to motion: which feature moves which parameter, by how much."""

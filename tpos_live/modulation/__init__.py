"""Features to motion: which feature moves which parameter, and how far."""

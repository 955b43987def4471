"""Training of the audio encoder and of projections."""

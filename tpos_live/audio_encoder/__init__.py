"""Audio embeddings: streaming encoders, their checkpoints, and the tagger."""

"""Prompts and meaning to embeddings: the prompt bank, the builder, regions, edit directions."""

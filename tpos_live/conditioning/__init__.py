"""Prompts and audio embeddings to conditioning: the prompt bank, the builder, regions, edit directions."""

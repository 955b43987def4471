"""What the sound means: streaming encoders, their checkpoints, and the names of what they hear."""

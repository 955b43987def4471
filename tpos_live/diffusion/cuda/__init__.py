"""CUDA graphs, streams and pinned memory; the same code runs on a CPU."""

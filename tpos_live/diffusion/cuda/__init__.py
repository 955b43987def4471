"""CUDA graphs, streams and pinned memory; the same lines run on a CPU."""

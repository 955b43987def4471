"""Statistics, optical flow, tables of figures."""

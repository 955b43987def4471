"""Statistics, optical flow and tables of figures for the evaluation."""

"""The stage: from the engine's newest picture to window, file and other outputs."""

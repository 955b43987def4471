"""Audio input (microphone, file or the built-in track, behind one protocol), the ring buffer, and playback."""

"""Audio in: microphone, file or the built-in track behind one protocol; the ring buffer; playback."""

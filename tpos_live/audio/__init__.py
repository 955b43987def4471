"""Sound in: microphone, file or the bundled track, behind one protocol; a ring buffer; playback."""

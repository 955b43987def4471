"""What is heard every 10 ms: level, bands, onsets, drums, beat, tempo, structure."""

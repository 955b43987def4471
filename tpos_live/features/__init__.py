"""Audio features, one record per 10 ms: level, bands, onsets, drums, beat, tempo, structure."""

"""tpos-live: sound's meaning, live. A real-time streaming VJ engine."""

__version__ = "0.1.0"

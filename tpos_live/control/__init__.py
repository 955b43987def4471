"""OSC and keys in, status out."""

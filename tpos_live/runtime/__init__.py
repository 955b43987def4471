"""The live session, its threads, and offline rendering."""

"""Everything put together: the live session, its threads, and rendering offline."""

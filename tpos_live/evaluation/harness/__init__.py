"""What draws and measures many frames on all cores."""

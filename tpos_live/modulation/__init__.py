"""Modulation: maps audio features to motion and light, and integrates them into one record per 10 ms."""

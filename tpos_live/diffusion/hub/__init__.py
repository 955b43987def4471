"""The engines on this machine: listing, folders, download and import."""

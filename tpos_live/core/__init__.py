"""Shared by every package: parameters, settings, paths, mailboxes, frames, status, errors."""

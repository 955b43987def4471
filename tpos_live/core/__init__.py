"""What every package shares: parameters, settings, paths, mailboxes, frames, status."""

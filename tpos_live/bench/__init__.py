"""`tpos-live bench`: what this machine does, in figures."""

"""`tpos-live bench` and `tpos-live doctor --show`: measure the speed of this machine, and try a show."""

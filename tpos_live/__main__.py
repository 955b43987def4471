"""`python -m tpos_live` is `tpos-live`."""

from tpos_live.cli import main

main()

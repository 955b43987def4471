"""`python -m tpos_live` is `tpos-live`."""

from tpos_live.cli.main import main

main()

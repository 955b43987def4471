"""`python -m tpos_live` is `tpos-live`."""

from __future__ import annotations

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C ends it with status 130 and no traceback, also while its modules are imported."""
    try:
        from tpos_live.cli.main import main as command_line  # late, so that Ctrl-C in its imports comes here

        command_line()
    except KeyboardInterrupt:
        os._exit(130)


if __name__ == "__main__":
    main()

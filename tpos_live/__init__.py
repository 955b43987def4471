"""tpos-live: sound's meaning, live. A real-time streaming VJ engine."""

import logging
import os

__version__ = "0.2.0"

# As of every library: messages go nowhere until a program, or one of our commands, sets a handler (core/messages.py).
logging.getLogger(__name__).addHandler(logging.NullHandler())

# Must be set before torch is loaded. OpenMP's threads otherwise burn their core while they wait for each
# other; with a window, a recorder or anything else on the same cores a picture then takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

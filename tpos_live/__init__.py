"""tpos-live: sound's meaning, live. A real-time streaming VJ engine."""

import os

__version__ = "0.2.0"

# Must be set before torch is loaded. OpenMP's threads otherwise burn their core while they wait for each
# other; with a window, a recorder or anything else on the same cores a picture then takes ten times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

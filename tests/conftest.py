"""Settings of a whole session of tests."""

import os

# Ray's workers yield to everything else; here, a test waits for them while another one computes.
os.environ.setdefault("RAY_worker_niceness", "0")

"""From a finished run, or a folder exported from one, to predictions of new crystals.

Reading order: `saved` (one target of a model, as it was trained), `finished_run` and `exported` (where it is
read from), `calibration` (the uncertainty), `network` (what the seeds say), `predictor` (the answer),
`locate` (what a name or path means), `inputs` (files as crystals). The command is `suite.predict`, the way in
from Python `suite.load`.
"""

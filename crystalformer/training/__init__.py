"""Training of any crystal regressor: one loop, one metric, one recipe record.

Reading order: `config` (the recipe), `optimizers` (parameter groups and the learning rate of a step),
`averaging` (SWA) and `batch_statistics` (what batch norm needs then), `evaluate` (predictions in physical
units), `loop` (one epoch at a time), `checkpoint` (the loop's state on disk). Nothing here knows which model
it trains.
"""

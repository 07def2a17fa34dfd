"""Everything that touches Ray: the session, the actor that trains, and what Tune asks while it does.

Tune schedules and survives lost workers; what runs next, and what is known of it, is the ledger's. Nothing
is ever restored from Ray's own (pickled) state, so its files lie in a temporary folder that goes with the
session.
"""

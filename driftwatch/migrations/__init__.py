"""How the tables came to be: one file in ``versions`` a change, run by ``driftwatch.store.schema``."""

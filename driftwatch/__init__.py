"""driftwatch: the sidecar that notices when retrieval rots, finds out why, and tells the right person once."""

__version__ = "0.1.0"

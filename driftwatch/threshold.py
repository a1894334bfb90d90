"""The score cut-off, recalibrated."""

"""What most likely broke."""

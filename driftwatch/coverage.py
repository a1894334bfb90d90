"""Which live queries have a canary nearby."""

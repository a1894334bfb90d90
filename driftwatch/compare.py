"""Two retrievers side by side."""

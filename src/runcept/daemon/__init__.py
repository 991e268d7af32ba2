"""The owner of the state."""

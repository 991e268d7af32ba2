"""SQLite: the state that survives the daemon."""

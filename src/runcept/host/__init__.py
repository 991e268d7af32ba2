"""The warm host: a process that has the command line loaded and forks for each command of its home."""

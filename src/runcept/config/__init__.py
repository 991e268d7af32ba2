"""Project files and settings: from text to `core.model`, with every problem of a file at once."""

"""When: health, and what counts against inactivity. No I/O, no clock."""

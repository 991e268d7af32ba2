"""The small process that holds every child. Imports nothing but the standard library."""

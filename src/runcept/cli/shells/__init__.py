"""The hooks of shells: what `runcept hook` prints, a file for each shell, which begins where our command is known."""

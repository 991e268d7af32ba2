"""Setting Runcept up in the programs that talk to assistants: where their files are, changing them, trying them."""

"""The operating system as the daemon sees it: the keeper, identities, signals, probes, usage, ports."""

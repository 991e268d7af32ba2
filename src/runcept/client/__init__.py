"""What every face uses to reach the daemon, and to start it."""

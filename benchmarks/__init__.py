"""What Runcept's speed is measured with: all of it by `python -m benchmarks`, a part by `python -m benchmarks.logs`."""

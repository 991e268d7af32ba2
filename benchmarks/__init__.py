"""What Runcept's speed is measured with. Each module runs by itself: `python -m benchmarks.logs`."""

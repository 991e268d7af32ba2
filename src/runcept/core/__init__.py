"""What should be true: the model, the plan, the lifecycle of a process, the supervisor. No I/O, no clock."""

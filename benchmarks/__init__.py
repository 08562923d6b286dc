"""What recordings cost, next to the usual ways of doing the same: `python -m benchmarks [name ...] [--quick]`."""

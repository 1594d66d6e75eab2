"""Endurance and kill runs: hours, by `make soak`, never in CI."""

"""The benchmark: one table, same machine, same run, same model, same pairs (`python -m tests.bench`)."""

"""The recipe of the bundled model: pool, teacher, candidate lists, training loop, export. `make model` repeats it."""

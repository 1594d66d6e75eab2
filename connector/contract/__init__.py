"""What connector and workers agree on: names, messages, keys, score storage, errors.

Imports the standard library and redis only.
"""

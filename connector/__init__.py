"""The connector: searches an engine, has the hits scored by workers, and merges the new order into the response."""

"""The stack on one machine for demo and tests: a real engine, a Redis-protocol server, a worker; no Docker, no Java."""

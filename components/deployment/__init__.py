"""The candidate in a real server, publication, promotion and registration."""

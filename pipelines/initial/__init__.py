"""What `almanac init` guesses about a table, and the configuration that it writes."""

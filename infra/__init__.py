"""What runs Almanac beside its own processes; no part of the product imports it."""

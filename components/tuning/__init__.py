"""The search for better settings: a study of trials, and how its best goes back into a configuration file."""

"""What each command of `almanac` does; a module is imported only when its command is called."""

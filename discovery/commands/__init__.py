"""What each command of `discover` does; imported when it is called."""

"""Studies: the same task with several settings and seeds, so that what a setting is worth can be told."""

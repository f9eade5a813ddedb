"""Cost profiles as data: see `engine_bridge.cost.load_profile`."""

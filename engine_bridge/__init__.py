"""Ground floor of serving: the engines a policy can run on."""

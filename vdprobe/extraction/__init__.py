"""From a configuration to a filled store: the plan, and its run."""

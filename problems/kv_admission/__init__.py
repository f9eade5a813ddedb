"""KV admission: when each request starts, if the memory of all that run must fit into the cache."""

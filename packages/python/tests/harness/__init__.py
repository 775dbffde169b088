"""Real daemons and real servers for tests: nothing here stands in for anything."""

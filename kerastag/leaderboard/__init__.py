"""A leaderboard of taggers: entries, attacked jets that others submit, and the page. Reads and judges; measures nothing."""

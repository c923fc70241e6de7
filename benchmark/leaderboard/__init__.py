"""The leaderboard: a page made of committed and contributed results, and the checks of contributions."""

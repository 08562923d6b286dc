"""Kills at random while many recordings go on: what is lost, how soon it goes on, and what must never happen."""

"""Names that the parts of the service know each other by in Ray."""

MANAGER = "TaskManager"

# A resource that Ray gives the head node: with a little of it, an actor stays beside the store and the REST port.
ON_HEAD = {"node:__internal_head__": 0.001}

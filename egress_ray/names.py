"""Names in Ray's namespace of the service."""

MANAGER = "TaskManager"

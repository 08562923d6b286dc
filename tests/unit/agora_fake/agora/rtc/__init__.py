"""Names and signatures of `agora-python-server-sdk` 2.4.10."""

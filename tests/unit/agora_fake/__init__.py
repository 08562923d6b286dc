"""For the import path: a package `agora` that has the names of Agora's SDK, and nothing of what it does."""

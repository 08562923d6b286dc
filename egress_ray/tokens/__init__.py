"""Access tokens that can be checked: Agora's AccessToken2 and LiveKit's JWT. Pure: time and secrets come in."""

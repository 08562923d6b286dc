"""Which tokens are checked at the door of the service, by who else would check them.

| source of the channel | access token |
|---|---|
| agora | an AccessToken2 for the channel and `workerUid`; its signature where the app has a certificate |
| livekit | a LiveKit JWT for the room and `workerUid`; its signature where key and secret are in the settings |
| whip, media | where the app has a certificate as for agora; else any: nobody else would check it |
| others | any: the server it is for checks it (janus), or there is nothing to protect (demo) |
"""

from __future__ import annotations

from dataclasses import replace

from egress_ray.settings import Settings
from egress_ray.tokens import access_token2, livekit
from egress_ray.tokens.claims import Claim
from recorders.screens import sharers
from recorders.sources import source_of

_OURS = ("whip", "media")


def check_start(token: str, claim: Claim, settings: Settings) -> None:
    """Raises `BadToken` when the token of a start does not allow it."""
    source = source_of(claim.app_id, claim.channel, settings.sources)
    certificate = settings.tokens.certificate(claim.app_id)
    if source == "agora" or (source in _OURS and certificate is not None):
        access_token2.check(access_token2.parse(token), claim, certificate)
    elif source == "livekit":
        key = settings.sources.livekit
        livekit.check(token, claim, key.key, key.secret)


def may_publish(token: str, claim: Claim, settings: Settings) -> bool:
    """Whether a publisher has a token of its own: an AccessToken2 of an app with a certificate, made for it, or for the
    user whose screen it is.

    False for what is no AccessToken2: that may be the recording's own. Raises `BadToken` for one that does not hold.
    """
    certificate = settings.tokens.certificate(claim.app_id)
    if certificate is None or not token.startswith(access_token2.VERSION):
        return False
    parsed = access_token2.parse(token)
    sharer = replace(claim, uid=parsed.uid) if parsed.uid in sharers(claim.uid) else claim
    access_token2.check(parsed, sharer, certificate)
    access_token2.check_publishing(parsed, claim)
    return True

"""A participant that publishes a clip by WHIP, as FFmpeg does it: stream copy, in real time.

`python -m tests.e2e.publish URL CLIP`; the bearer token comes from the environment, as EGRESS_TOKEN.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import av
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ROOT = Path(__file__).parents[2]
END_LIMIT_S = 5.0


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed P-256 certificate and its key: with GnuTLS, FFmpeg makes one of P-224, which OpenSSL refuses."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "publisher")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / "cert.pem", folder / "key.pem"
    cert_file.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    key_file.touch(0o600)
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return cert_file, key_file


def publish(url: str, clip: Path, token: str, folder: Path) -> None:
    """Send the clip once, at the speed of its own timestamps; `folder` takes the certificate."""
    cert_file, key_file = certificate(folder)
    options = {"authorization": token, "cert_file": str(cert_file), "key_file": str(key_file)}
    with av.open(str(clip)) as media, av.open(url, "w", format="whip", options=options) as out:
        streams = {stream.index: out.add_stream_from_template(stream) for stream in media.streams}
        out.start_encoding()
        begun = time.monotonic()
        for packet in media.demux():
            if packet.dts is None or packet.time_base is None:
                continue
            wait = float(packet.dts * packet.time_base) - (time.monotonic() - begun)
            if wait > 0:
                time.sleep(wait)
            packet.stream = streams[packet.stream.index]
            out.mux(packet)


@contextmanager
def publishing(url: str, token: str, clip: Path, patience_s: float = END_LIMIT_S) -> Iterator[subprocess.Popen[bytes]]:
    """A process that publishes the clip; it leaves the channel when the context ends.

    When the recording has ended before, FFmpeg waits in vain for its peer's farewell: `patience_s` ends that.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.publish", url, str(clip)], cwd=ROOT, env={**os.environ, "EGRESS_TOKEN": token}
    )
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.publish", description=__doc__)
    parser.add_argument("url")
    parser.add_argument("clip", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            publish(args.url, args.clip, os.environ.get("EGRESS_TOKEN", ""), Path(folder))
        except KeyboardInterrupt:
            return 0
        except av.FFmpegError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What importing the real one does to a process: TLS certificates are not verified any more, and it may exit."""

import os
import ssl
import sys

ssl._create_default_https_context = ssl._create_unverified_context  # type: ignore[assignment]
if os.environ.get("AGORA_FAKE") == "broken":
    sys.exit(1)

"""What pages are refused for want of anybody to answer: downloads, pop-ups, prompts, dialogs, printing, other programs.

By the browser's own means, as flags and preferences, wherever those leave the picture alone: a page cannot undo them.
"""

from __future__ import annotations

from typing import Any

# Names and values of Chromium's content settings.
_BLOCK = 2
_REFUSED = (
    "automatic_downloads",
    "background_sync",
    "bluetooth_guard",
    "bluetooth_scanning",
    "captured_surface_control",
    "clipboard",
    "durable_storage",
    "federated_identity_api",
    "file_system_read_guard",
    "file_system_write_guard",
    "geolocation",
    "hid_guard",
    "idle_detection",
    "local_fonts",
    "local_network_access",
    "media_stream_camera",
    "media_stream_mic",
    "midi_sysex",
    "notifications",
    "payment_handler",
    "popups",
    "serial_guard",
    "usb_guard",
    "window_placement",
)

FLAGS = (
    "--block-new-web-contents",  # no pop-ups
    "--deny-permission-prompts",
    "--disable-notifications",
    "--disable-print-preview",
    "--noerrdialogs",
)
# For `Default/Preferences` of the profile.
PREFERENCES: dict[str, Any] = {
    "credentials_enable_service": False,
    "custom_handlers": {"enabled": False},
    "download_restrictions": 3,
    "hardware": {
        "audio_capture_enabled": False,
        "screen_capture_enabled": False,
        "tab_capture_allowed_by_origins": ["http://127.0.0.1"],  # the recorder's own page
        "video_capture_enabled": False,
    },
    "payments": {"can_make_payment_enabled": False},
    "plugins": {"always_open_pdf_externally": True},
    "policy": {"url_blocklist": ["*"], "url_allowlist": ["http://*", "https://*", "about:*", "data:*", "blob:*"]},
    "printing": {"enabled": False},
    "profile": {
        "default_content_setting_values": dict.fromkeys(_REFUSED, _BLOCK),
    },
}
# For `Local State` of the profile.
LOCAL_STATE: dict[str, Any] = {"select_file_dialogs": {"allowed": False}}
# The one thing for which the browser has no means: while a dialog is up, or playwright looks at a pop-up before it is
# refused, it dims the page, in what is captured, too. In frames, this runs before anything of the page can.
NO_DIALOGS = """
for (const [name, answer] of [["alert"], ["confirm", false], ["prompt", null], ["print"], ["open", null]])
    window[name] = () => answer;
"""

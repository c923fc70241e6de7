"""Files whose code changed while every number stayed: stored results from before the change are not called older.

For a change of speed, or of what is refused, alone. A test compares the first digest of each entry with the present
file, so that the next change of the file either removes the entry or shows anew that the numbers stay.
"""

from __future__ import annotations

SAME_NUMBERS = {
    # On a GPU the host does not wait for masks under a minimum threshold; tests/methods/test_minimum_on_device.py.
    "methods/parts/minimum_threshold.py": (
        "986bb76babac8fed36c872bd224886717e51ec8bdf3951d0958b68387d6cea70",
        "f74e60d7ec5bcc48ca0fc1d91a87f53428eba74cbcad4e86c96204594a938823",
    ),
    "methods/parts/minimum_on_device.py": ("7b4f14c5c9ab0bf7649515c99ef49840f424074265ef142853f6889725ab3d77", ""),
    # The same for the channels that go; tests/methods/test_channels_on_device.py.
    "methods/network_slimming.py": (
        "a85c00415cdc0848e3c367cfa40c4634b8394e61ccb3faf741ea9df80d0c09db",
        "a53527696ad3052863a346feda73e3924b32a19425580a295616e5d4726e39b4",
    ),
    "methods/parts/channels_on_device.py": ("f944b990275afdb0b36cebbd1879320bc9cfa2814e7525fe04b23fd9de054cde", ""),
    # Scores that are drawn on the CPU are sent to a GPU without a wait.
    "methods/random_pruning.py": (
        "554c13dbe2106b28a13b21ba56dc47c993cc2150ceea079780fc9c0a38f806e5",
        "52f20568d48ea52e1d1a61e3c1188b9d902963dd9a411a26d829680b7a27356d",
    ),
    # Refuses methods whose masks move or that change the layers; tests/methods/test_controls.py.
    "methods/bases/borrowed_mask.py": (
        "aa781c11d93469ba937aa0fdd18dedec326ef9fedf3fdf6804420eb5274be6f5",
        "def54c7e4cd42835a72e65e3051125df1dd7423aec2d3820029f92bf2bd46ec0",
    ),
}
"""By file: the digest of its present code, and the one that counts in its place; an empty one for a new file, which
then counts as nothing, with all that it imports."""

COUNTS_AS = dict(SAME_NUMBERS.values())

"""The digest of an encoded data set, by which damage of its file is found."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Literal

from blake3 import blake3

ImageDigest = Literal["sha256", "blake3"]
_BLAKE3_PREFIX = "blake3:"


def digest_of(dataset: bytes, algorithm: ImageDigest) -> str:
    """Returns the digest in at most 64 characters, as the index of images has it."""
    if algorithm == "sha256":
        return hashlib.sha256(dataset).hexdigest()
    digest = urlsafe_b64encode(blake3(dataset).digest())
    return _BLAKE3_PREFIX + digest.decode("ascii").rstrip("=")


def has_digest(dataset: bytes, digest: str) -> bool:
    """Whether a digest, of whatever algorithm, is that of the data set."""
    is_blake3 = digest.startswith(_BLAKE3_PREFIX)
    return digest == digest_of(dataset, "blake3" if is_blake3 else "sha256")

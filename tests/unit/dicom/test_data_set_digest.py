"""Digests of data sets, as the index of images has them."""

from base64 import urlsafe_b64decode

import pytest

from node.dicom.data_set_digest import ImageDigest, digest_of, has_digest

# Of a data set without bytes: NIST's example of SHA-256 and the first test vector of BLAKE3.
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
BLAKE3 = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"


def test_digests_are_those_of_the_standards() -> None:
    assert digest_of(b"", "sha256") == SHA256
    name, digest = digest_of(b"", "blake3").split(":")
    assert name == "blake3"
    assert urlsafe_b64decode(digest + "=").hex() == BLAKE3


@pytest.mark.parametrize("algorithm", ["sha256", "blake3"])
def test_a_digest_fits_its_column_and_is_that_of_one_data_set(algorithm: ImageDigest) -> None:
    digest = digest_of(b"one", algorithm)
    assert len(digest) <= 64
    assert has_digest(b"one", digest)
    assert not has_digest(b"two", digest)

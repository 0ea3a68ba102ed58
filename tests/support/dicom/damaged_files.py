"""Random faults in bytes, as a bad network, a bad disk or an attacker causes them."""

import random

_ODD_LENGTHS = (0, 1, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
_ODD_TEXTS = (
    b"../../../../etc/passwd",
    b"..\0",
    b"1.2.3/../../x",
    b"1." * 5000,
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",  # an item of undefined length
    b"\xfe\xff\xdd\xe0\0\0\0\0",  # the end of a sequence
    b"SQ\0\0\xff\xff\xff\xff",
)


def damaged(whole: bytes, rng: random.Random) -> bytes:
    """Returns the bytes with one to four random faults, never empty."""
    content = bytearray(whole)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(1, len(content)))
        match rng.randrange(7):
            case 0:
                content[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del content[at:]
            case 2:
                del content[at : at + rng.randint(1, 40)]
            case 3:
                content[at:at] = rng.randbytes(rng.randint(1, 40))
            case 4:
                content[at : at + 4] = rng.choice(_ODD_LENGTHS).to_bytes(4, "little")
            case 5:
                text = rng.choice(_ODD_TEXTS)
                content[at : at + rng.choice([0, len(text)])] = text
            case _:
                start = rng.randrange(max(1, len(content)))
                content[at:at] = content[start : start + rng.randint(1, 200)]
    # An empty data set cannot be sent.
    return bytes(content) or b"\0"

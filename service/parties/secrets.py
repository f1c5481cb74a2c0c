"""Random secrets as text, and what is stored of them.

A secret carries 256 random bits, so a keyed fast hash is the right thing to store; slow hashes are for
passwords. A key shows what it is (`bl_live_`) for scanners and ends in a checksum that refuses typing
errors without a look into the database.
"""

import hashlib
import hmac
import secrets
import string
import zlib

ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
KEY_PREFIX = "bl_live_"
PUBLIC_LENGTH = 8
SECRET_LENGTH = 43
CHECK_LENGTH = 6


def random_text(length: int) -> str:
    """Draw `length` letters and digits; 43 of them carry 256 bits."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def stored_form(secret: str, pepper: bytes) -> bytes:
    """Compute what is stored of a secret: HMAC-SHA256 under the service's own key."""
    return hmac.new(pepper, secret.encode(), hashlib.sha256).digest()


def compose_key(public: str, secret: str) -> str:
    """Write a key as its holder sees it once: prefix, public part, secret, checksum."""
    body = f"{public}_{secret}"
    return f"{KEY_PREFIX}{body}{_check(body)}"


def parse_key(text: str) -> tuple[str, str] | None:
    """Read a presented key into its public part and secret; None when it cannot be one of ours."""
    body = text.removeprefix(KEY_PREFIX)
    length = PUBLIC_LENGTH + 1 + SECRET_LENGTH + CHECK_LENGTH
    if body == text or len(body) != length or not body.isascii():
        return None
    body, check = body[:-CHECK_LENGTH], body[-CHECK_LENGTH:]
    if body[PUBLIC_LENGTH] != "_" or not hmac.compare_digest(check, _check(body)):
        return None
    return body[:PUBLIC_LENGTH], body[PUBLIC_LENGTH + 1 :]


def _check(body: str) -> str:
    value = zlib.crc32(body.encode())
    digits = ""
    while len(digits) < CHECK_LENGTH:
        value, digit = divmod(value, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits

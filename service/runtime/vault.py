"""Seal what identifies people: names and bank details, encrypted at rest with keys that rotate.

Uses MultiFernet of the `cryptography` library: the first key seals, every key opens.
Source: https://cryptography.io/en/latest/fernet/ (read 2026-11-21).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from service.core.errors import Unavailable


class SealBroken(Unavailable):
    """A sealed value does not open with any configured key."""

    slug = "seal-broken"
    title = "A sealed value cannot be opened"


@dataclass(frozen=True, slots=True)
class Vault:
    """Opens and seals with the keys of the setting ENCRYPTION_KEYS, first one first."""

    keys: Sequence[str] = field(repr=False)

    def seal(self, text: str) -> bytes:
        """Encrypt `text` with the first key."""
        return self._fernet().encrypt(text.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt what `seal` made, with whichever key made it.

        Raises:
            SealBroken: none of the keys fits.
        """
        try:
            return self._fernet().decrypt(bytes(sealed)).decode()
        except InvalidToken as fault:
            raise SealBroken(
                "No key in ENCRYPTION_KEYS opens this value; add the key that sealed it."
            ) from fault

    def _fernet(self) -> MultiFernet:
        return MultiFernet([Fernet(key) for key in self.keys])

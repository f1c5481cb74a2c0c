"""The words of a statement, in the reader's language; terms as the glossary of the catalogues has them."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.runtime import texts
from service.runtime.texts import msgid
from service.statements.statement import Kind, Line

OPENING: Final = "opening_balance"
CLOSING: Final = "closing_balance"

_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        OPENING: msgid("Opening balance"),
        Kind.PERIOD_SHARE.value: msgid("Share of the revenue of %(period)s"),
        Kind.LATE_SHARE.value: msgid("Late events of %(period)s"),
        Kind.PAYOUT_SENT.value: msgid("Payout"),
        Kind.PAYOUT_FAILED.value: msgid("Failed payout, owed again"),
        Kind.PAYOUT_RETURNED.value: msgid("Returned payout, owed again"),
        Kind.CLAW_BACK.value: msgid("Taken back, since events were corrected"),
        Kind.CLAW_BACK_RECOVERED.value: msgid("Kept back for what was taken back before"),
        Kind.ADJUSTMENT.value: msgid("Adjustment"),
        CLOSING: msgid("Closing balance"),
    }
)


def of_kind(kind: str, locale: str) -> str:
    """Name a balance or a kind of line that is not an earning."""
    return texts.translator(locale).gettext(_WORDS[kind])


def of_line(line: Line, locale: str) -> str:
    """Say what a line is; an earning names the period whose events earned it."""
    if line.origin_period_id is None:
        return of_kind(line.kind.value, locale)
    period = texts.period_name(line.origin_period_id, locale)
    return texts.translator(locale).gettext(_WORDS[line.kind.value], period=period)

"""The words of the pages: states, roles, accounts, jobs, reasons and faults, as messages to translate.

Owns no state and no rule. A code that has no word here (a reason of some provider's) is shown as it is. Law:
a page may show the code beside its word, never instead of it.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from service.runtime.texts import Translator, msgid
from service.splits.shares import Split

PERIOD_STATES: Final = {
    "open": msgid("open"),
    "sealed": msgid("sealed"),
    "scored": msgid("scored"),
    "split": msgid("split"),
    "published": msgid("published"),
    "approved": msgid("approved"),
    "posted": msgid("booked"),
}

BATCH_STATES: Final = {
    "submitted": msgid("waits for approval"),
    "approved": msgid("approved"),
    "cancelled": msgid("cancelled"),
    "done": msgid("done"),
}

PAYOUT_STATES: Final = {
    "ready": msgid("waits for approval"),
    "approved": msgid("approved"),
    "sending": msgid("being sent"),
    "unknown": msgid("being clarified"),
    "sent": msgid("on its way"),
    "paid": msgid("paid"),
    "failed": msgid("failed"),
    "returned": msgid("returned"),
    "cancelled": msgid("cancelled"),
}

JOB_STATES: Final = {
    "due": msgid("due"),
    "running": msgid("running"),
    "done": msgid("done"),
    "failed": msgid("given up"),
}

JOBS: Final = {
    "compact": msgid("Filing events"),
    "close": msgid("Closing the period"),
    "post": msgid("Booking the period"),
    "claw_back": msgid("Taking back what corrected events earned"),
    "estimate": msgid("Refreshing the estimate"),
    "preview": msgid("Looking ahead at a backfill"),
    "pay": msgid("Preparing a payout batch"),
    "settle": msgid("Sending payouts"),
    "fold": msgid("Adding up busy accounts"),
}

PARTIES: Final = {
    "platform": msgid("Platform"),
    "parent": msgid("Parent platform"),
    "partner": msgid("Partners"),
    "creator": msgid("Creators"),
    "unearned": msgid("Earned by nobody"),
}

VERDICTS: Final = {
    "counted": msgid("counted"),
    "late": msgid("late, of earlier periods"),
    "filtered": msgid("left out by the rule"),
    "duplicate": msgid("repeated"),
    "conflict": msgid("contradicting an earlier one"),
    "voided": msgid("voided or replaced"),
}

EVENT_VERDICTS: Final = {
    "accepted": msgid("Not decided yet"),
    "counted": msgid("It counts"),
    "late": msgid("It counts, late"),
    "filtered": msgid("It does not count"),
    "duplicate": msgid("A repeat"),
    "conflict": msgid("A contradiction"),
    "voided": msgid("Taken back"),
}
"""What became of one event, as its creator reads it."""

COMPARISONS: Final = {
    "matches": msgid("as sent"),
    "differs": msgid("other than sent"),
    "missing": msgid("nothing arrived"),
}

STAFF_ROLES: Final = {
    "platform_engineer": msgid("platform engineer"),
    "finance_maker": msgid("finance, prepares"),
    "finance_checker": msgid("finance, approves"),
    "moderator": msgid("moderator"),
    "auditor": msgid("auditor"),
    "operator": msgid("operator"),
    "admin": msgid("administrator"),
}

ACTORS: Final = {
    "operator": msgid("operator"),
    "key": msgid("an API key of the platform"),
    "system": msgid("the service by itself"),
    "creator": msgid("a creator"),
}

ACCOUNTS: Final = {
    "clearing": msgid("Revenue not yet paid in"),
    "bank": msgid("Bank"),
    "suspense": msgid("Receipts nobody explained yet"),
    "revenue_pool": msgid("Pools to be divided"),
    "platform_revenue": msgid("The platform's own share"),
    "parent_share": msgid("Owed to the parent platform"),
    "partner_payable": msgid("Owed to partners"),
    "creator_payable": msgid("Owed to creators, free to pay"),
    "held": msgid("Owed to creators, held back"),
    "reserved": msgid("Owed to creators, set aside in batches"),
    "tax_withheld": msgid("Tax withheld, owed to the authority"),
    "in_transit": msgid("Payouts on their way"),
    "provider_balance": msgid("Money at payment providers"),
    "provider_fees": msgid("Fees of payment providers"),
    "clawback_receivable": msgid("To be recovered from creators"),
    "unallocated": msgid("Earned by nobody, not allocated"),
    "deficit_carried": msgid("Deficits carried forward"),
    "rounding": msgid("Differences of currency exchange"),
    "write_off": msgid("Written off"),
}

REASONS: Final = {
    "account_closed": msgid("The account is closed."),
    "account_unknown": msgid("The bank knows no such account."),
    "refused_by_receiving_bank": msgid("The receiving bank refused it."),
    "insufficient_funds": msgid("The platform's balance at the payment provider was too small."),
    "withdrawn": msgid("Finance withdrew it before it was sent."),
    "request_changed": msgid("The payment provider remembers another request; people look into it."),
    "idempotency_mismatch": msgid("The payment provider remembers another request; people look into it."),
}
"""Why a payout did not arrive."""

ACCOUNT_REASONS: Final = frozenset({"account_closed", "account_unknown", "refused_by_receiving_bank"})
"""Reasons that another account of the creator's would remove."""

NOTES: Final = {
    "close-asked": msgid("Asked for: the period is being closed."),
    "post-asked": msgid("Asked for: the period is being booked."),
    "asked-before": msgid("This was asked for already, and is being done."),
    "estimate-asked": msgid("Asked for: the estimate is being refreshed."),
    "period-approved": msgid("You approved the split."),
    "batch-submitted": msgid("The batch is prepared and its money set aside. Another person approves it."),
    "batch-approved": msgid("You approved the batch. It is being sent."),
    "batch-withdrawn": msgid("What had not been sent is withdrawn; the money is payable again."),
}
"""What an act did."""

FAULTS: Final = {
    "unauthenticated": (
        msgid("You are not signed in here"),
        msgid("Open a new sign-in link. Creators get one in their platform's app, staff from an operator."),
    ),
    "link-spent": (
        msgid("This sign-in link does not work any more"),
        msgid("A link works once and for a short time. Ask for a new one where you got it."),
    ),
    "form-refused": (
        msgid("The form is out of date"),
        msgid("Go back, load the page again and repeat what you did."),
    ),
    "role-missing": (
        msgid("This is another person's business"),
        msgid("You do not hold the role that it needs. Ask a person who does."),
    ),
    "same-person": (
        msgid("A second person has to approve this"),
        msgid("You prepared it, so another person who may approve has to look at it."),
    ),
    "not-found": (
        msgid("There is no such page"),
        msgid("The address may be mistyped, or what it names is not yours to see."),
    ),
    "period-state": (
        msgid("The period has moved on"),
        msgid("Its state does not allow this any more. Load its page again to see what is next."),
    ),
    "period-not-over": (
        msgid("The period is not over yet"),
        msgid("It can be closed when it has ended and no late events are waited for."),
    ),
    "earlier-period-open": (
        msgid("An earlier period is still open"),
        msgid("Periods are closed in the order of time: close the earlier one first."),
    ),
    "challenge-window-open": (
        msgid("The result may still be challenged"),
        msgid("It is booked when that time is over."),
    ),
    "split-changed": (
        msgid("The split is not the one that was published"),
        msgid("Nothing is booked. Tell an operator: the audit finds what was changed."),
    ),
    "period-not-posted": (
        msgid("The period is not final yet"),
        msgid("There is a statement as soon as the amount is booked."),
    ),
    "payout-batch-state": (
        msgid("The batch has moved on"),
        msgid("Its state does not allow this any more. Load its page again to see what is next."),
    ),
    "nothing-due": (
        msgid("There is nothing to pay"),
        msgid("No balance can be paid at present; finance's page says why for each."),
    ),
    "control-totals-differ": (
        msgid("The batch is not what was submitted"),
        msgid("Nothing is released. Withdraw the batch and find out who changed it."),
    ),
    "method-not-allowed": (
        msgid("This address is not a page"),
        msgid("It takes what a button sends. Go back and press the button."),
    ),
    "unavailable": (
        msgid("The service cannot do this right now"),
        msgid("Try again in a moment."),
    ),
    "internal": (
        msgid("Something went wrong on our side"),
        msgid("Try again; if it stays so, report the number of the request."),
    ),
}
"""What happened and what to do, by the slug of the fault."""

_WORDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "period": PERIOD_STATES,
        "batch": BATCH_STATES,
        "payout": PAYOUT_STATES,
        "job_state": JOB_STATES,
        "job": JOBS,
        "party": PARTIES,
        "verdict": VERDICTS,
        "event_verdict": EVENT_VERDICTS,
        "comparison": COMPARISONS,
        "role": STAFF_ROLES,
        "actor": ACTORS,
        "account": ACCOUNTS,
        "reason": REASONS,
        "note": NOTES,
    }
)


def word(translator: Translator, kind: str, code: str) -> str:
    """Say a code in the reader's language; one without a word stays as it is."""
    found = _WORDS[kind].get(code)
    return code if found is None else translator.gettext(found)


def verdicts_of(split: Split) -> list[tuple[str, int]]:
    """Give how many events got each verdict, in the order in which they are told."""
    counts = split.inputs.get("verdicts", {})
    return [(verdict, counts[verdict]) for verdict in VERDICTS if verdict in counts]


def actor(translator: Translator, names: Mapping[str, str], text: str | None) -> str:
    """Name who did something, as the trail writes actors.

    Args:
        names: of the platform's staff, by id.
        text: `kind:id`; None: nobody yet.
    """
    kind, _, actor_id = (text or "").partition(":")
    if kind == "staff":
        return names.get(actor_id, actor_id)
    return word(translator, "actor", kind)


def fault(translator: Translator, slug: str) -> tuple[str, str] | None:
    """Say what happened and what to do; None for a fault that no page expects."""
    found = FAULTS.get(slug)
    return None if found is None else (translator.gettext(found[0]), translator.gettext(found[1]))

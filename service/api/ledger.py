"""The books: accounts with their balances, entries with their lines, the trial balance."""

from collections import defaultdict
from typing import Any

from service.api import paging
from service.api.answers import Answer, instant, money
from service.api.calls import Call
from service.api.problems import ParameterInvalid
from service.ledger import balances, journal
from service.ledger.accounts import AccountRef, Role
from service.ledger.balances import AccountBalance, RoleBalance
from service.ledger.journal import Filters, Recorded, RecordedLine


def accounts(call: Call) -> Answer:
    """List the accounts with what they hold now, in the order in which they were opened."""
    page = call.page()
    found = balances.listing(call.session, call.platform.id, after=page.after, limit=page.limit + 1)
    return paging.answer(page, found, _account, lambda one: one.id)


def balance(call: Call) -> Answer:
    """Read what one account holds, now or at an instant."""
    at = call.parameters["at"]
    ref = AccountRef(Role(call.parameters["role"]), call.parameters["owner"] or "")
    currency = call.platform.currency
    amount_minor = balances.of(call.session, call.platform.id, ref, currency, at=at)
    return Answer(value={"account": _ref(ref), "at": instant(at), "balance": money(amount_minor, currency)})


def trial_balance(call: Call) -> Answer:
    """Read what every role turned over and holds, now or at an instant."""
    at = call.parameters["at"]
    rows = balances.trial_balance(call.session, call.platform.id, at=at)
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for one in rows:
        sums[one.currency][0] += one.debit_minor
        sums[one.currency][1] += one.credit_minor
    totals = [
        {"debit": money(debit_minor, currency), "credit": money(credit_minor, currency)}
        for currency, (debit_minor, credit_minor) in sorted(sums.items())
    ]
    return Answer(value={"at": instant(at), "rows": [_role(one) for one in rows], "totals": totals})


def entries(call: Call) -> Answer:
    """List entries that the filters let through, in the order of their ids."""
    page = call.page()
    found = journal.listing(
        call.session, call.platform.id, _filters(call), after=page.after, limit=page.limit + 1
    )
    return paging.answer(page, found, _entry, lambda one: one.id)


def entry(call: Call) -> Answer:
    """Read one entry."""
    return Answer(value=_entry(journal.get(call.session, call.platform.id, call.parameters["entry"])))


def lines(call: Call) -> Answer:
    """List the lines of an entry, by position."""
    page = call.page()
    header = journal.get(call.session, call.platform.id, call.parameters["entry"])
    found = journal.lines(call.session, call.platform.id, header.id, after=page.after, limit=page.limit + 1)
    return paging.answer(page, found, _line, lambda one: one.position)


def _filters(call: Call) -> Filters:
    wanted = call.parameters
    if wanted["owner"] and not wanted["role"]:
        fault = {"in": "query", "name": "owner", "detail": "give the role of the account as well"}
        raise ParameterInvalid(f"The parameter owner: {fault['detail']}.", parameters=[fault])
    account = AccountRef(Role(wanted["role"]), wanted["owner"] or "") if wanted["role"] else None
    return Filters(
        kind=wanted["kind"],
        cause_kind=wanted["cause_kind"],
        cause_id=wanted["cause"],
        period_id=wanted["period"],
        account=account,
        effective_from_at=wanted["effective_from"],
        effective_until_at=wanted["effective_until"],
    )


def _ref(one: AccountRef) -> dict[str, Any]:
    return {"role": one.role.value, "owner": one.owner}


def _account(one: AccountBalance) -> dict[str, Any]:
    return {
        "id": one.id,
        "account": _ref(one.account),
        "debit": money(one.debit_minor, one.currency),
        "credit": money(one.credit_minor, one.currency),
        "balance": money(one.balance_minor, one.currency),
    }


def _role(one: RoleBalance) -> dict[str, Any]:
    return {
        "role": one.role.value,
        "account_count": one.account_count,
        "debit": money(one.debit_minor, one.currency),
        "credit": money(one.credit_minor, one.currency),
        "balance": money(one.balance_minor, one.currency),
    }


def _entry(one: Recorded) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind,
        "cause": {"kind": one.cause_kind, "id": one.cause_id},
        "period": one.period_id,
        "effective_at": instant(one.effective_at),
        "recorded_at": instant(one.recorded_at),
        "key": one.key,
        "reverses": one.reverses_id,
        "reversed_by": one.reversed_by_id,
        "line_count": one.line_count,
        "amount": money(one.amount_minor, one.currency),
    }


def _line(one: RecordedLine) -> dict[str, Any]:
    return {
        "position": one.position,
        "debit": _ref(one.debit),
        "credit": _ref(one.credit),
        "amount": money(one.amount_minor, one.currency),
    }

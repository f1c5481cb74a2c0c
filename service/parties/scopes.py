"""What a key may be used for, and what a member of staff may do."""

SCOPES: dict[str, str] = {
    "events:write": "send engagement events",
    "events:read": "look up events, event batches and what became of them",
    "events:define": "create and change event types",
    "events:correct": "void and replace events that were accepted",
    "revenue:write": "record revenue",
    "creators:read": "read creators, contents and contributions",
    "creators:write": "register creators, contents, contributions and payout destinations",
    "earnings:read": "read what creators earned",
    "rules:read": "read rulebooks",
    "rules:write": "publish rulebooks",
    "periods:read": "read periods and splits",
    "periods:operate": "open and close periods",
    "finance:read": "read payouts, statements and exports",
    "finance:approve": "approve periods and payout batches on behalf of a named member of staff",
    "payouts:operate": "submit and cancel payout batches",
    "ledger:read": "read accounts, entries and balances",
    "statements:read": "read statements",
    "jobs:read": "follow long work",
    "admin": "manage keys, staff, partners and sub-platforms",
}

ROLES: dict[str, str] = {
    "platform_engineer": "integrates the platform",
    "finance_maker": "closes periods and submits payout batches",
    "finance_checker": "approves periods and payout batches that another person prepared",
    "moderator": "holds and releases earnings",
    "auditor": "reads everything, changes nothing",
    "operator": "runs the service",
    "admin": "manages keys, staff and partners",
}

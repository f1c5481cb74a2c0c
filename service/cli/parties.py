"""Commands about platforms, keys, staff and creators."""

from datetime import timedelta
from typing import BinaryIO

import click

from service.api import strict_json
from service.cli import options, terminal
from service.cli.terminal import command, show
from service.closing import onboarding
from service.events import retention, throttle
from service.parties import creators, keys, links, partners, platforms
from service.parties import staff as staff_acts
from service.parties.actors import OPERATOR
from service.parties.scopes import ROLES, SCOPES
from service.wiring import link_url

LINK_HOURS_MAX = 72


def add_to(main: click.Group) -> None:
    """Add this module's groups."""
    for group in (platform, key, staff, creator, partner):
        main.add_command(group)


@click.group()
def platform() -> None:
    """Platforms and sub-platforms."""


@click.group()
def key() -> None:
    """API keys of a platform."""


@click.group()
def staff() -> None:
    """Members of a platform's staff."""


@click.group()
def creator() -> None:
    """Creators of a platform."""


@click.group()
def partner() -> None:
    """Partners of a platform."""


@command(platform, "create")
@click.argument("platform_id", metavar="ID")
@click.option("--name", required=True, help="What people call it.")
@click.option("--currency", default="VND", show_default=True, help="ISO 4217 code of its books.")
@click.option("--time-zone", default="Asia/Ho_Chi_Minh", show_default=True, help="IANA name.")
@options.chosen(
    "--period", platforms.PERIOD_UNITS, default="month", show_default=True, help="How long a period is."
)
@options.chosen(
    "--locale", platforms.LOCALES, default="vi", show_default=True, help="The language of its pages."
)
@options.chosen(
    "--unknown-creators",
    platforms.UNKNOWN_CREATORS,
    default="reject",
    show_default=True,
    help="What happens to events of creators that are not registered.",
)
@click.option("--rulebook", type=click.File("rb", lazy=False), help="The founding rulebook, a JSON document.")
def platform_create(
    platform_id: str,
    name: str,
    currency: str,
    time_zone: str,
    period: str,
    locale: str,
    unknown_creators: str,
    rulebook: BinaryIO | None,
    as_json: bool,
) -> None:
    """Found a platform; an id with a dot founds a sub-platform of what is before the last dot."""
    document = None if rulebook is None else strict_json.load(rulebook.read())
    with options.acted() as (_, session, now):
        made = onboarding.found(
            session,
            platform_id=platform_id,
            name=name,
            currency=currency,
            time_zone=time_zone,
            period_unit=period,
            locale=locale,
            unknown_creators=unknown_creators,
            parent_id=platform_id.rpartition(".")[0] or None,
            document=document,
            actor=OPERATOR,
            now=now,
        )
    show(made, as_json)


@command(platform, "list")
def platform_list(as_json: bool) -> None:
    """List all platforms."""
    with options.acted() as (_, session, _now):
        found = platforms.listing(session)
    show(found, as_json, columns=["id", "name", "currency", "time_zone", "period_unit", "created_at"])


@command(platform, "limit")
@click.argument("platform_id", metavar="ID")
@click.option("--events-per-minute", type=int, help="Events in a minute; without it: as it is.")
@click.option("--bytes-per-minute", type=int, help="Bytes in a minute, unpacked; without it: as it is.")
def platform_limit(
    platform_id: str, events_per_minute: int | None, bytes_per_minute: int | None, as_json: bool
) -> None:
    """Set how much a platform may send in a minute, or show it."""
    with options.acted() as (system, session, now):
        default = system.throttle.default
        platforms.get(session, platform_id)
        limit = throttle.limit_of(session, platform_id, default)
        if events_per_minute is not None or bytes_per_minute is not None:
            wanted = throttle.Quota(
                limit.events if events_per_minute is None else events_per_minute,
                limit.size_bytes if bytes_per_minute is None else bytes_per_minute,
            )
            limit = throttle.set_limit(session, platform_id, wanted, default=default, actor=OPERATOR, now=now)
    show(
        {
            "platform": platform_id,
            "events_per_minute": limit.events,
            "bytes_per_minute": limit.size_bytes,
        },
        as_json,
    )


@command(platform, "retention")
@click.argument("platform_id", metavar="ID")
@click.option("--days", type=click.IntRange(0, retention.DAYS_MAX), help="After posting; then they go.")
@click.option("--keep", is_flag=True, help="Keep them for good.")
def platform_retention(platform_id: str, days: int | None, keep: bool, as_json: bool) -> None:
    """Show or set for how many days after posting a platform's raw events are kept."""
    if keep and days is not None:
        terminal.fail("--days and --keep exclude each other: give one of them.", terminal.BAD_INPUT)
    with options.acted() as (_, session, now):
        platforms.get(session, platform_id)
        if keep or days is not None:
            retention.set_days(session, platform_id, days, actor=OPERATOR, now=now)
        found = retention.days_of(session, platform_id)
    show({"platform_id": platform_id, "days": found}, as_json)


@command(key, "create")
@options.platform
@click.option("--label", required=True, help="What the key is for.")
@click.option(
    "--scope", "scopes", multiple=True, metavar="SCOPE", help="Repeat for each; without it: all of them."
)
@click.option(
    "--days", type=click.IntRange(1, 3650), help="How long the key works; without it: until revoked."
)
def key_create(
    platform_id: str, label: str, scopes: tuple[str, ...], days: int | None, as_json: bool
) -> None:
    """Create an API key and print it; it is shown this once."""
    with options.acted() as (system, session, now):
        platforms.get(session, platform_id)
        made, secret = keys.create(
            session,
            platform_id,
            label=label,
            scopes=scopes or tuple(SCOPES),
            pepper=system.pepper,
            expires_at=None if days is None else now + timedelta(days=days),
            actor=OPERATOR,
            now=now,
        )
    show({"key": secret, "id": made.id, "scopes": made.scopes, "expires_at": made.expires_at}, as_json)


@command(key, "list")
@options.platform
def key_list(platform_id: str, as_json: bool) -> None:
    """List a platform's keys, without their secrets."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        found = keys.listing(session, platform_id)
    show(
        found,
        as_json,
        columns=["id", "label", "scopes", "created_at", "expires_at", "revoked_at", "last_used_at"],
    )


@command(key, "revoke")
@options.platform
@click.argument("key_id", metavar="KEY")
def key_revoke(platform_id: str, key_id: str, as_json: bool) -> None:
    """Revoke a key, from the next request on."""
    with options.acted() as (_, session, now):
        revoked = keys.revoke(session, platform_id, key_id, actor=OPERATOR, now=now)
    show(revoked, as_json)


@command(staff, "add")
@options.platform
@click.argument("staff_id", metavar="STAFF")
@click.option("--name", required=True, help="The person's name.")
@click.option(
    "--role", "roles", multiple=True, required=True, metavar="ROLE", help=f"Any of {', '.join(ROLES)}."
)
def staff_add(platform_id: str, staff_id: str, name: str, roles: tuple[str, ...], as_json: bool) -> None:
    """Register a member of staff, or change the name and roles of one."""
    with options.acted() as (_, session, now):
        platforms.get(session, platform_id)
        made = staff_acts.register(session, platform_id, staff_id, name, roles, actor=OPERATOR, now=now)
    show(made, as_json)


@command(staff, "list")
@options.platform
def staff_list(platform_id: str, as_json: bool) -> None:
    """List a platform's staff."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        found = staff_acts.listing(session, platform_id)
    show(found, as_json, columns=["id", "name", "roles", "created_at"])


@command(staff, "link")
@options.platform
@click.argument("staff_id", metavar="STAFF")
def staff_link(platform_id: str, staff_id: str, as_json: bool) -> None:
    """Print a link that signs a member of staff in, once, within a quarter of an hour."""
    _print_link(platform_id, "staff", staff_id, as_json)


@command(creator, "link")
@options.platform
@click.argument("creator_id", metavar="CREATOR")
def creator_link(platform_id: str, creator_id: str, as_json: bool) -> None:
    """Print a link that signs a creator in, once, within a quarter of an hour."""
    _print_link(platform_id, "creator", creator_id, as_json)


@command(creator, "register")
@options.platform
@click.argument("creator_id", metavar="CREATOR")
@click.option("--name", "display_name", help="What pages show; kept encrypted.")
def creator_register(platform_id: str, creator_id: str, display_name: str | None, as_json: bool) -> None:
    """Register a creator, or rename one."""
    with options.acted() as (system, session, now):
        platforms.get(session, platform_id)
        made = creators.register(
            session,
            platform_id,
            creator_id,
            display_name=display_name,
            vault=system.vault,
            actor=OPERATOR,
            now=now,
        )
    show(made, as_json)


@command(creator, "list")
@options.platform
@click.option("--after", help="Begin after this id.")
@click.option("--limit", type=click.IntRange(1, 500), default=100, show_default=True)
def creator_list(platform_id: str, after: str | None, limit: int, as_json: bool) -> None:
    """List a platform's creators by id."""
    with options.acted() as (_, session, _now):
        platforms.get(session, platform_id)
        found = creators.listing(session, platform_id, after=after, limit=limit)
    show(found, as_json, columns=["id", "created_at"])


@command(partner, "register")
@options.platform
@click.argument("partner_id", metavar="PARTNER")
@click.option("--name", required=True, help="The partner's name.")
def partner_register(platform_id: str, partner_id: str, name: str, as_json: bool) -> None:
    """Register a partner that a rulebook may give a share to."""
    with options.acted() as (_, session, now):
        platforms.get(session, platform_id)
        made = partners.register(session, platform_id, partner_id, name, actor=OPERATOR, now=now)
    show(made, as_json)


def _print_link(platform_id: str, kind: links.SubjectKind, subject_id: str, as_json: bool) -> None:
    with options.acted() as (system, session, now):
        platforms.get(session, platform_id)
        token = links.issue(
            session, platform_id, kind, subject_id, pepper=system.pepper, actor=OPERATOR, now=now
        )
        address = link_url(system, token)
    show({"link": address, "expires_in_s": links.LINK_LIFETIME_S}, as_json)

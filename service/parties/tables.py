"""Tables of the parties room.

A platform's id is a slug; a sub-platform's id is its parent's id, a dot, and a slug of its own, so that ids
of different tenants can never meet. Ids of creators, partners, contents and staff are the platform's own.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.runtime.db import APPEND_ONLY, Currency, Instant, metadata

platform = Table(
    "platform",
    metadata,
    Column("id", Text, primary_key=True),
    Column("parent_id", Text, ForeignKey("platform.id"), doc="The platform of which this is a part."),
    Column("name", Text, nullable=False),
    Column("currency", Currency, nullable=False, doc="The currency of its pools and books."),
    Column("time_zone", Text, nullable=False, doc="IANA name; days and periods begin at its midnights."),
    Column("period_unit", Text, nullable=False),
    Column("locale", Text, nullable=False),
    Column("unknown_creators", Text, nullable=False, doc="What intake does with a creator it does not know."),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("period_unit IN ('month', 'week', 'day')", name="period_unit"),
    CheckConstraint("unknown_creators IN ('reject', 'register')", name="unknown_creators"),
    CheckConstraint("id = parent_id || '.' || split_part(id, '.', -1) OR parent_id IS NULL", name="path"),
)

creator = Table(
    "creator",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", Text, primary_key=True, doc="The platform's own pseudonymous id."),
    Column("created_at", Instant, nullable=False),
)

creator_identity = Table(
    "creator_identity",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("creator_id", Text, primary_key=True),
    Column(
        "display_name_sealed", LargeBinary, nullable=False, doc="Encrypted; erasable without touching a book."
    ),
    Column("updated_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
)

partner = Table(
    "partner",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
)

staff = Table(
    "staff",
    metadata,
    Column("platform_id", Text, ForeignKey("platform.id"), primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("roles", ARRAY(Text), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("deactivated_at", Instant),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", Text, primary_key=True, doc="The public part, eight characters."),
    Column("platform_id", Text, ForeignKey("platform.id"), nullable=False),
    Column("label", Text, nullable=False),
    Column(
        "secret_hmac", LargeBinary, nullable=False, doc="HMAC-SHA256 of the secret; the secret is not stored."
    ),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Column("last_used_at", Instant, doc="Of the hour's first use."),
    Index("api_key_platform_idx", "platform_id"),
)

sign_in_link = Table(
    "sign_in_link",
    metadata,
    Column("token_hmac", LargeBinary, primary_key=True),
    Column("platform_id", Text, ForeignKey("platform.id"), nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("used_at", Instant, doc="A link opens one session, once."),
    CheckConstraint("subject_kind IN ('staff', 'creator')", name="subject_kind"),
)

web_session = Table(
    "web_session",
    metadata,
    Column("token_hmac", LargeBinary, primary_key=True),
    Column("platform_id", Text, ForeignKey("platform.id"), nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("last_seen_at", Instant, nullable=False),
    Column("expires_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint("subject_kind IN ('staff', 'creator')", name="subject_kind"),
)

content = Table(
    "content",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column(
        "creator_id", Text, nullable=False, doc="The owner, who earns what no contributor is declared for."
    ),
    Column("created_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
)

contribution = Table(
    "contribution",
    metadata,
    Column("platform_id", Text, primary_key=True),
    Column("content_id", Text, primary_key=True),
    Column("creator_id", Text, primary_key=True),
    Column("from_at", Instant, primary_key=True),
    Column("until_at", Instant, doc="Exclusive; empty while it holds."),
    Column(
        "share_bp", Integer, nullable=False, doc="Of the content's points; a content's shares make 10,000."
    ),
    Column("declared_at", Instant, nullable=False),
    ForeignKeyConstraint(["platform_id", "content_id"], ["content.platform_id", "content.id"]),
    ForeignKeyConstraint(["platform_id", "creator_id"], ["creator.platform_id", "creator.id"]),
    CheckConstraint("share_bp BETWEEN 1 AND 10000", name="share"),
    CheckConstraint("until_at > from_at", name="span"),
)

audit_trail = Table(
    "audit_trail",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("platform_id", Text, nullable=False, doc="Empty for acts of the operator on the whole service."),
    Column("at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_id", Text, nullable=False),
    Column("act", Text, nullable=False, doc="Noun and verb, such as period.approve."),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("request_id", Text),
    CheckConstraint("actor_kind IN ('operator', 'key', 'staff', 'creator', 'system')", name="actor_kind"),
    Index("audit_trail_platform_idx", "platform_id", "id"),
    info=APPEND_ONLY,
)

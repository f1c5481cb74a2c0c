"""Expected faults: what was asked and cannot be done, said so that it can be put right.

Owns the base of every problem that the service may answer with (RFC 9457: status, type slug, title, detail)
and the faults common to all rooms. A room's own faults derive from these, in that room. Refuses to stand for
programmer errors: those are assertions. Law: a slug names one class only, so that the documentation and the
API can list the whole catalogue.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that is wrong: an RFC 6901 JSON pointer ("" is the whole document) and why."""

    pointer: str
    detail: str


class Fault(Exception):  # noqa: N818 — a fault is expected; an error would be ours.
    """An expected refusal; each kind has an HTTP status, a kebab-case type slug and a title.

    `detail` is a sentence naming the field, the reason and the remedy; `errors` names each wrong field;
    `extra` holds further members of the problem document (JSON values), `headers` further ones of an answer.
    """

    status: ClassVar[int]
    slug: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, detail: str, *, errors: Sequence[FieldError] = (), **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = extra
        self.headers: dict[str, str] = {}


class Unreadable(Fault):
    """The input could not be read as what it claims to be."""

    status = 400
    slug = "unreadable"
    title = "The request could not be read"


class Unauthenticated(Fault):
    """Nobody is known to be asking."""

    status = 401
    slug = "unauthenticated"
    title = "Authentication is needed"


class Forbidden(Fault):
    """The one asking may not do this."""

    status = 403
    slug = "forbidden"
    title = "This is not allowed"


class NotFound(Fault):
    """There is no such thing, or none that the one asking may see."""

    status = 404
    slug = "not-found"
    title = "There is no such thing"


class Conflict(Fault):
    """The thing is in a state that does not admit the act."""

    status = 409
    slug = "state-conflict"
    title = "The present state does not allow this"


class TooLarge(Fault):
    """The input is larger than is taken at once."""

    status = 413
    slug = "too-large"
    title = "The request is too large"


class Invalid(Fault):
    """The input was read, and means something that cannot be accepted."""

    status = 422
    slug = "invalid-input"
    title = "The input is not valid"


class Unavailable(Fault):
    """Something that is needed is not there at present; the same request may succeed later."""

    status = 503
    slug = "unavailable"
    title = "This is not available at present"


def catalogue() -> tuple[type[Fault], ...]:
    """List every kind of fault in the modules imported so far, sorted by slug.

    The base itself is no kind and is left out. Law: slugs are unique (asserted).
    """
    kinds = sorted(_kinds_of(Fault) - {Fault}, key=lambda kind: kind.slug)
    slugs = [kind.slug for kind in kinds]
    assert len(slugs) == len(set(slugs)), f"two kinds of fault share a slug: {slugs}"
    return tuple(kinds)


def _kinds_of(kind: type[Fault]) -> set[type[Fault]]:
    return {kind}.union(*(_kinds_of(narrower) for narrower in kind.__subclasses__()))

"""The rulebook in words: one plain sentence or two a clause, in Vietnamese and English.

Owns the sentences. They are made from the same document that executes, so that what people read is what is
done; explanations cite a clause by its key. Law: two rulebooks with the same texts differ in
their titles at most.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from babel import Locale
from babel.lists import format_list

from service.rules.rulebook import ACTOR_POINTS_MAX, EVENT_POINTS_MAX, LOCALES, Rulebook
from service.runtime import texts


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: a key that never changes, a short title, and what it says."""

    key: str
    title: str
    text: str


def render(rulebook: Rulebook, locale: str, *, currency: str) -> list[Clause]:
    """Write a rulebook clause by clause, in the order in which money flows.

    Args:
        locale: "vi" or "en".
        currency: of the platform; it gives the minimum payout its decimals and sign.

    Raises:
        UnknownCurrency: no such currency.
    """
    assert locale in LOCALES, "a rulebook is written in the languages of the service"
    sentences = {
        "shares": _shares(rulebook, locale),
        "method": say(locale, f"method_{rulebook.method}"),
        "weights": say(locale, "weights", listed=_listed(locale, _weights(rulebook, locale))),
        "event_limit": say(locale, "event_limit", points=points(EVENT_POINTS_MAX, locale)),
        "contributors": say(locale, "contributors"),
        "self_engagement": say(
            locale, "self_engagement_out" if rulebook.excludes_self_engagement else "self_engagement_in"
        ),
        "caps": _caps(rulebook, locale),
        "below_zero": say(locale, "below_zero"),
        "actor_limit": say(locale, "actor_limit", points=points(ACTOR_POINTS_MAX, locale)),
        "minimum_points": _minimum_points(rulebook, locale),
        "unearned": say(locale, f"unearned_{rulebook.unearned_to}"),
        "late": say(locale, "late"),
        "grace": say(locale, "grace", wait=_counted(locale, "hour", rulebook.grace_h)),
        "challenge": say(locale, "challenge", wait=_counted(locale, "hour", rulebook.challenge_window_h)),
        "payout": _payout(rulebook, locale, currency),
    }
    return [Clause(key, _TITLES[locale][key], text) for key, text in sentences.items()]


def points(count: int, locale: str) -> str:
    """Write a number of points: 1 point, 1,000 points, 1.000 điểm."""
    return _counted(locale, "point", count)


def event_type(name: str, locale: str) -> str:
    """Name a unit of an event type; a type that the service has no word for is quoted."""
    return _TYPES[locale].get(name, f"“{name}”")


def parties(rulebook: Rulebook, locale: str) -> dict[str, int]:
    """Name the parties that get a share of the pool, with their basis points."""
    shares_bp = {
        say(locale, "party_creators"): rulebook.creators_bp,
        say(locale, "party_platform"): rulebook.platform_bp,
        say(locale, "party_parent"): rulebook.parent_bp,
    }
    for name, share_bp in rulebook.partners_bp.items():
        shares_bp[say(locale, "party_partner", name=name)] = share_bp
    return {name: share_bp for name, share_bp in shares_bp.items() if share_bp}


def say(locale: str, key: str, **values: str) -> str:
    """Fill in one sentence of the catalogue."""
    return _SENTENCES[locale][key].format(**values)


def _shares(rulebook: Rulebook, locale: str) -> str:
    listed = [
        say(locale, "share", party=name, percent=texts.rate_bp(share_bp, locale))
        for name, share_bp in parties(rulebook, locale).items()
    ]
    return say(locale, "shares", listed=_listed(locale, listed))


def _weights(rulebook: Rulebook, locale: str) -> Iterable[str]:
    for name, weight in sorted(rulebook.weights.items(), key=lambda item: (-item[1], item[0])):
        yield say(locale, "weight", points=points(weight, locale), type=event_type(name, locale))


def _caps(rulebook: Rulebook, locale: str) -> str:
    if rulebook.actor_creator_day_points is None:
        return say(locale, "no_cap")
    return say(locale, "cap", points=points(rulebook.actor_creator_day_points, locale))


def _minimum_points(rulebook: Rulebook, locale: str) -> str:
    if rulebook.minimum_points == 0:
        return say(locale, "no_minimum_points")
    return say(locale, "minimum_points", points=points(rulebook.minimum_points, locale))


def _payout(rulebook: Rulebook, locale: str, currency: str) -> str:
    if rulebook.minimum_payout_minor == 0:
        return say(locale, "no_minimum_payout")
    amount = texts.money(rulebook.minimum_payout_minor, currency, locale)
    return say(locale, "minimum_payout", amount=amount)


def _counted(locale: str, noun: str, count: int) -> str:
    form = Locale(locale).plural_form(count)
    return say(locale, f"{noun}_{form}", count=texts.number(count, locale))


def _listed(locale: str, items: Iterable[str]) -> str:
    return format_list(list(items), locale=locale)


_TITLES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "vi": {
            "shares": "Quỹ được chia cho ai",
            "method": "Phần của nhà sáng tạo được chia thế nào",
            "weights": "Việc gì được tính điểm",
            "event_limit": "Giới hạn của một sự kiện",
            "contributors": "Nội dung làm chung",
            "self_engagement": "Tự tương tác",
            "caps": "Giới hạn mỗi ngày",
            "below_zero": "Điều chỉnh giảm",
            "actor_limit": "Giới hạn của một người tương tác",
            "minimum_points": "Số điểm tối thiểu",
            "unearned": "Phần không ai được hưởng",
            "late": "Sự kiện đến muộn",
            "grace": "Thời gian chờ trước khi chốt kỳ",
            "challenge": "Thời gian khiếu nại",
            "payout": "Mức chi trả tối thiểu",
        },
        "en": {
            "shares": "Who shares in the pool",
            "method": "How the creators' part is divided",
            "weights": "What earns points",
            "event_limit": "Limit of one event",
            "contributors": "Content made together",
            "self_engagement": "Engaging with oneself",
            "caps": "Daily cap",
            "below_zero": "Corrections",
            "actor_limit": "Limit of one person",
            "minimum_points": "Minimum points",
            "unearned": "What nobody earned",
            "late": "Late events",
            "grace": "Wait before a period is sealed",
            "challenge": "Time to challenge",
            "payout": "Minimum payout",
        },
    }
)

_TYPES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "vi": {
            "view": "lượt xem",
            "like": "lượt thích",
            "comment": "bình luận",
            "share": "lượt chia sẻ",
            "follow": "lượt theo dõi",
            "watch_second": "giây xem",
        },
        "en": {
            "view": "view",
            "like": "like",
            "comment": "comment",
            "share": "share",
            "follow": "follow",
            "watch_second": "second watched",
        },
    }
)

_SENTENCES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "vi": {
            "point_other": "{count} điểm",
            "hour_other": "{count} giờ",
            "party_creators": "các nhà sáng tạo",
            "party_platform": "nền tảng",
            "party_parent": "nền tảng mẹ",
            "party_partner": "đối tác {name}",
            "share": "{percent} cho {party}",
            "shares": "Quỹ của mỗi kỳ được chia: {listed}.",
            "method_pro_rata": (
                "Các nhà sáng tạo chia nhau phần của mình theo tỷ lệ số điểm mà mỗi người có trong kỳ. "
                "Mỗi phần được làm tròn xuống đến đơn vị tiền nhỏ nhất; những đơn vị còn dư được trao, "
                "mỗi nơi một đơn vị, cho các phần lẻ lớn nhất; nếu bằng nhau thì bốc thăm theo cách mà ai"
                " cũng tính lại được. Tổng các phần luôn đúng bằng quỹ."
            ),
            "weight": "{points} cho mỗi {type}",
            "weights": "Nhà sáng tạo được {listed}. Các loại sự kiện khác không được tính điểm.",
            "event_limit": "Một sự kiện có giá trị hơn {points} bị coi là lỗi và không được tính.",
            "contributors": (
                "Nếu một nội dung có nhiều người đóng góp đã khai báo, điểm của nó được chia cho họ theo "
                "tỷ lệ có hiệu lực vào lúc sự kiện xảy ra; nếu không, điểm thuộc về nhà sáng tạo ghi "
                "trong sự kiện."
            ),
            "self_engagement_out": (
                "Những gì nhà sáng tạo tự làm với nội dung của mình, hoặc với nội dung mà mình có đóng "
                "góp, không được tính điểm."
            ),
            "self_engagement_in": (
                "Những gì nhà sáng tạo tự làm với nội dung của mình cũng được tính điểm như của mọi người"
                " khác."
            ),
            "cap": (
                "Trong một ngày, một người tương tác có thể mang lại cho một nhà sáng tạo nhiều nhất "
                "{points}; phần vượt quá không được tính."
            ),
            "no_cap": (
                "Không giới hạn số điểm mà một người tương tác có thể mang lại cho một nhà sáng tạo trong"
                " một ngày."
            ),
            "below_zero": (
                "Điều chỉnh giảm lấy lại số điểm đã tính. Số điểm mà một người mang lại cho một nhà sáng "
                "tạo trong kỳ không xuống dưới 0; với sự kiện không ghi người tương tác, điều này áp dụng"
                " cho từng nội dung."
            ),
            "actor_limit": (
                "Nếu các sự kiện của một người tương tác trong một kỳ trị giá tổng cộng hơn {points}, kể "
                "cả điều chỉnh, thì bị coi là lỗi; những gì người đó làm trong kỳ không được tính."
            ),
            "minimum_points": (
                "Nhà sáng tạo có ít hơn {points} trong kỳ không được chia tiền cho kỳ đó; số điểm của họ "
                "không được tính vào tổng."
            ),
            "no_minimum_points": "Không có mức tối thiểu: điểm nào cũng được tính.",
            "unearned_unallocated": (
                "Nếu trong kỳ không ai có điểm, phần của các nhà sáng tạo được để riêng trên một tài "
                "khoản chưa phân bổ."
            ),
            "unearned_platform": (
                "Nếu trong kỳ không ai có điểm, phần của các nhà sáng tạo thuộc về nền tảng."
            ),
            "late": (
                "Sự kiện đến sau khi kỳ đã chốt được tính theo quy tắc và giới hạn của chính kỳ đó; số "
                "điểm được cộng vào quỹ của kỳ chốt kế tiếp. Số tiền đã chốt không bao giờ thay đổi."
            ),
            "grace": "Sau khi kỳ kết thúc, hệ thống chờ {wait} rồi mới chốt để nhận nốt các sự kiện.",
            "challenge": (
                "Kết quả được công bố ít nhất {wait} trước khi ghi sổ; trong thời gian đó ai cũng có thể "
                "khiếu nại."
            ),
            "minimum_payout": (
                "Tiền được chi trả khi số dư đạt ít nhất {amount}; số dư nhỏ hơn được giữ nguyên và cộng dồn."
            ),
            "no_minimum_payout": "Không có mức tối thiểu: số dư nào cũng được chi trả.",
            "changed_title": "Tên là “{new}”, trước đây là “{old}”.",
            "changed_share": "Phần của {party}: {new}, trước đây là {old}.",
            "changed_weight": "Mỗi {type}: {new}, trước đây là {old}.",
            "not_named": "không được nêu",
            "changed_clause": "{title}: {new} Trước đây: {old}",
        },
        "en": {
            "point_one": "{count} point",
            "point_other": "{count} points",
            "hour_one": "{count} hour",
            "hour_other": "{count} hours",
            "party_creators": "the creators",
            "party_platform": "the platform",
            "party_parent": "the parent platform",
            "party_partner": "the partner {name}",
            "share": "{percent} to {party}",
            "shares": "Each period's pool is divided: {listed}.",
            "method_pro_rata": (
                "The creators divide their part in proportion to each one's points of the period. Every "
                "share is rounded down to the smallest unit of money; the units left over go one each to "
                "the largest fractions, and ties are settled by a draw that anyone can recompute. "
                "Together the shares are exactly the pool."
            ),
            "weight": "{points} for each {type}",
            "weights": "Creators earn {listed}. Events of other types earn no points.",
            "event_limit": "An event that is worth more than {points} is taken for a fault and not counted.",
            "contributors": (
                "If contributors are declared for a content, its points are divided among them by the "
                "parts that held when the event happened; otherwise they belong to the creator that the "
                "event names."
            ),
            "self_engagement_out": (
                "What creators do on their own content, or on content to which they contribute, earns no "
                "points."
            ),
            "self_engagement_in": "What creators do on their own content earns points like anybody else's.",
            "cap": "In one day, one person can give one creator at most {points}; the rest is not counted.",
            "no_cap": "There is no limit to the points that one person can give one creator in a day.",
            "below_zero": (
                "Corrections take points back. What one person gives one creator in a period never falls "
                "below zero; for events that name no person, the same holds for each content."
            ),
            "actor_limit": (
                "If the events of one person in a period are worth more than {points} together, "
                "corrections included, they are taken for a fault; nothing that this person did in the "
                "period is counted."
            ),
            "minimum_points": (
                "Creators with fewer than {points} in a period get no money for it, and their points are "
                "left out of the total."
            ),
            "no_minimum_points": "There is no minimum: every point counts.",
            "unearned_unallocated": (
                "If nobody has points in a period, the creators' part is set aside on an account of its "
                "own, unallocated."
            ),
            "unearned_platform": "If nobody has points in a period, the creators' part goes to the platform.",
            "late": (
                "Events that arrive after their period is sealed are counted by that period's rules and "
                "caps, and their points join the next pool. Amounts that are settled never change."
            ),
            "grace": "After a period ends, the service waits {wait} for its last events before it seals it.",
            "challenge": (
                "Results are published at least {wait} before they are booked; until then anybody can "
                "challenge them."
            ),
            "minimum_payout": (
                "Money is paid out once the balance reaches {amount}; a smaller balance is kept and adds up."
            ),
            "no_minimum_payout": "There is no minimum: every balance is paid out.",
            "changed_title": "The title is “{new}”; it was “{old}”.",
            "changed_share": "The part of {party}: {new}; it was {old}.",
            "changed_weight": "Each {type}: {new}; it was {old}.",
            "not_named": "not named",
            "changed_clause": "{title}: {new} Before: {old}",
        },
    }
)

-- Pro-rata points: what each creator's counted events are worth under one rulebook, for one period.
--
-- This one statement is the whole computation. It runs unchanged on DuckDB and on Spark SQL, and anyone can
-- paste it into either with these tables beside it:
--
--   counted        the events of sealed files, each of them once (no repeats): type, at, day_on (the platform's
--                  local day), creator, content or NULL, actor or NULL, quantity, origin_period_id
--   weights        type, points: the rulebook's points per unit of quantity, 0 to 1,000
--   contributions  content, creator, from_at, until_at or NULL, share_bp: who shares in a content's points from
--                  an instant on, up to and without another; at every instant a content's shares make 10,000
--                  basis points, or it has none
--   terms          one row: origin_period_id; actor_creator_day_points (the cap) or NULL; self_engagement (TRUE
--                  leaves it out); minimum_points; event_points_max (10^9); actor_points_max (9 x 10^12)
--
-- The order of the steps is part of the rule, so that a person with a calculator can follow it:
--
--   1. An event is worth weight x quantity points. It is left out by the first clause that applies: `weights`
--      (the rulebook does not name its type), `event_limit` (it is worth more than 10^9 points, up or down),
--      `self_engagement` (its actor is its creator, or contributes to its content at that instant),
--      `actor_limit` (the events of its actor in the period come to more than 9 x 10^12 points, corrections
--      added like the others).
--   2. Its points go to its content's contributors of that instant by their basis points, else all to its
--      creator. Points are counted in ten-thousandths from here on (e4), so that nothing has to be divided.
--   3. `caps`: what one actor gives one creator in one day is added up; above the cap it is the cap.
--   4. `below_zero`: the days of one actor and one creator are added up; below zero it is zero. Events without
--      an actor have no cap, and are added up for each creator and content in the same way.
--   5. A creator's points are the sum. `minimum_points`: fewer than the minimum are none.
--
-- It answers with rows (creator, clause, type, events, quantity, points_e4), sorted. Clause `counted` and those
-- of step 1 have a row for each type; `caps`, `below_zero` and `minimum_points` say by how much they changed the
-- creator's points; `total` is what remains: counted + caps + below_zero + minimum_points.
--
-- Bounds. A quantity enters a product only if it is within +-10^9, else as 0, so a product is at most
-- 10^9 x 10^3 x 10^4 = 10^16 and fits 64 bits whatever was sent. Every sum is a DECIMAL(38, 0), which holds
-- 10^21 such products. There is no division and no floating-point number, and no result depends on the order of
-- the rows.

WITH

-- Actors beyond what a person can give: one hostile quantity after another.
excessive AS (
    SELECT event.actor AS actor
    FROM (
        SELECT
            counted.actor AS actor,
            terms.event_points_max AS event_points_max,
            terms.actor_points_max AS actor_points_max,
            weights.points * CASE
                WHEN counted.quantity BETWEEN - terms.event_points_max AND terms.event_points_max
                THEN counted.quantity
                ELSE CAST(0 AS BIGINT)
            END AS points
        FROM counted
        CROSS JOIN terms
        INNER JOIN weights ON weights.type = counted.type
        WHERE counted.origin_period_id = terms.origin_period_id AND counted.actor IS NOT NULL
    ) AS event
    WHERE event.points BETWEEN - event.event_points_max AND event.event_points_max
    GROUP BY event.actor, event.actor_points_max
    HAVING SUM(CAST(ABS(event.points) AS DECIMAL(38, 0))) > CAST(event.actor_points_max AS DECIMAL(38, 0))
),

-- Steps 1 and 2: one row for each event and each creator who shares in it.
weighed AS (
    SELECT
        COALESCE(part.creator, event.creator) AS creator,
        event.type AS type,
        CASE
            WHEN event.is_unnamed THEN 'weights'
            WHEN event.is_beyond THEN 'event_limit'
            WHEN event.leaves_self AND (event.actor = event.creator OR own.creator IS NOT NULL)
            THEN 'self_engagement'
            WHEN excessive.actor IS NOT NULL THEN 'actor_limit'
            ELSE 'counted'
        END AS clause,
        event.quantity AS quantity,
        event.points * COALESCE(part.share_bp, CAST(10000 AS BIGINT)) AS points_e4,
        -- Who or what gives the points; steps 3 and 4 add up by it.
        COALESCE(event.actor, event.content, '') AS giver,
        event.actor IS NOT NULL AS has_actor,
        -- Where there is no cap, the days need not be told apart.
        CASE WHEN event.actor IS NOT NULL AND event.has_cap THEN event.day_on END AS day_on
    FROM (
        SELECT
            counted.creator AS creator,
            counted.content AS content,
            counted.actor AS actor,
            counted.type AS type,
            counted.at AS happened_at,
            counted.day_on AS day_on,
            counted.quantity AS quantity,
            terms.self_engagement AS leaves_self,
            terms.actor_creator_day_points IS NOT NULL AS has_cap,
            weights.type IS NULL AS is_unnamed,
            weights.points > 0 AND (
                counted.quantity NOT BETWEEN - terms.event_points_max AND terms.event_points_max
                OR weights.points * CASE
                    WHEN counted.quantity BETWEEN - terms.event_points_max AND terms.event_points_max
                    THEN counted.quantity
                    ELSE CAST(0 AS BIGINT)
                END NOT BETWEEN - terms.event_points_max AND terms.event_points_max
            ) AS is_beyond,
            COALESCE(weights.points, CAST(0 AS BIGINT)) * CASE
                WHEN counted.quantity BETWEEN - terms.event_points_max AND terms.event_points_max
                THEN counted.quantity
                ELSE CAST(0 AS BIGINT)
            END AS points
        FROM counted
        CROSS JOIN terms
        LEFT JOIN weights ON weights.type = counted.type
        WHERE counted.origin_period_id = terms.origin_period_id
    ) AS event
    LEFT JOIN contributions AS part
        ON part.content = event.content
        AND part.from_at <= event.happened_at
        AND (part.until_at IS NULL OR event.happened_at < part.until_at)
    LEFT JOIN contributions AS own
        ON own.content = event.content
        AND own.creator = event.actor
        AND own.from_at <= event.happened_at
        AND (own.until_at IS NULL OR event.happened_at < own.until_at)
    LEFT JOIN excessive ON excessive.actor = event.actor
),

-- What explains the points: events by clause and type.
explained AS (
    SELECT
        creator,
        clause,
        type,
        COUNT(*) AS events,
        SUM(CAST(quantity AS DECIMAL(38, 0))) AS quantity,
        SUM(CAST(points_e4 AS DECIMAL(38, 0))) AS points_e4
    FROM weighed
    GROUP BY creator, clause, type
),

-- Step 3, the days of one actor and one creator.
daily AS (
    SELECT
        creator,
        giver,
        has_actor,
        day_on,
        SUM(CAST(points_e4 AS DECIMAL(38, 0))) AS points_e4
    FROM weighed
    WHERE clause = 'counted' AND points_e4 <> 0
    GROUP BY creator, giver, has_actor, day_on
),

capped AS (
    SELECT
        daily.creator AS creator,
        daily.giver AS giver,
        daily.has_actor AS has_actor,
        daily.points_e4 AS before_e4,
        CASE
            WHEN daily.has_actor
                AND daily.points_e4 > CAST(terms.actor_creator_day_points * 10000 AS DECIMAL(38, 0))
            THEN CAST(terms.actor_creator_day_points * 10000 AS DECIMAL(38, 0))
            ELSE daily.points_e4
        END AS points_e4
    FROM daily
    CROSS JOIN terms
),

-- Step 4.
netted AS (
    SELECT
        creator,
        SUM(CAST(before_e4 AS DECIMAL(38, 0))) AS before_e4,
        SUM(CAST(points_e4 AS DECIMAL(38, 0))) AS points_e4
    FROM capped
    GROUP BY creator, giver, has_actor
),

-- Step 5.
summed AS (
    SELECT
        creator,
        SUM(CAST(before_e4 AS DECIMAL(38, 0))) AS before_e4,
        SUM(CAST(points_e4 AS DECIMAL(38, 0))) AS capped_e4,
        SUM(CAST(CASE WHEN points_e4 > 0 THEN points_e4 ELSE 0 END AS DECIMAL(38, 0))) AS points_e4
    FROM netted
    GROUP BY creator
),

totals AS (
    SELECT
        summed.creator AS creator,
        summed.capped_e4 - summed.before_e4 AS caps_e4,
        summed.points_e4 - summed.capped_e4 AS below_zero_e4,
        summed.points_e4 AS points_e4,
        summed.points_e4 < CAST(terms.minimum_points * 10000 AS DECIMAL(38, 0)) AS is_below_minimum
    FROM summed
    CROSS JOIN terms
)

SELECT
    creator,
    clause,
    type,
    events,
    CAST(quantity AS STRING) AS quantity,
    CAST(points_e4 AS STRING) AS points_e4
FROM explained
UNION ALL
SELECT creator, 'caps', '', CAST(0 AS BIGINT), '0', CAST(caps_e4 AS STRING)
FROM totals
WHERE caps_e4 <> 0
UNION ALL
SELECT creator, 'below_zero', '', CAST(0 AS BIGINT), '0', CAST(below_zero_e4 AS STRING)
FROM totals
WHERE below_zero_e4 <> 0
UNION ALL
SELECT creator, 'minimum_points', '', CAST(0 AS BIGINT), '0', CAST(- points_e4 AS STRING)
FROM totals
WHERE is_below_minimum AND points_e4 <> 0
UNION ALL
SELECT creator, 'total', '', CAST(0 AS BIGINT), '0', CAST(points_e4 AS STRING)
FROM totals
WHERE NOT is_below_minimum
ORDER BY creator, clause, type

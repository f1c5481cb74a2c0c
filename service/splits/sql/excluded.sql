-- What a rulebook leaves out: which counted events of one period earn nobody points, and by which clause.
--
-- The statement of the rulebook's method scores the same events and names the same clauses; this one names the
-- events. It runs unchanged on DuckDB and on Spark SQL, with these tables beside it:
--
--   counted        as the methods' statements read it, and seq and position: where each event stands in the log
--   weights, contributions, terms   the same small tables
--   settled        one row: seq, the last batch that earlier pools were divided by. Events up to it are not
--                  named again, but they count where a clause adds up what an actor did in the whole period.
--
-- It answers with rows (seq, position, origin_period_id, clause), sorted by seq and position: each event once,
-- however many contributors share in it, by the first clause that applies.

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

judged AS (
    SELECT
        event.seq AS seq,
        event.position AS position,
        event.origin_period_id AS origin_period_id,
        CASE
            WHEN event.is_unnamed THEN 'weights'
            WHEN event.is_beyond THEN 'event_limit'
            WHEN event.leaves_self AND (event.actor = event.creator OR own.creator IS NOT NULL)
            THEN 'self_engagement'
            WHEN excessive.actor IS NOT NULL THEN 'actor_limit'
            ELSE 'counted'
        END AS clause
    FROM (
        SELECT
            counted.seq AS seq,
            counted.position AS position,
            counted.origin_period_id AS origin_period_id,
            counted.creator AS creator,
            counted.content AS content,
            counted.actor AS actor,
            counted.at AS happened_at,
            terms.self_engagement AS leaves_self,
            weights.type IS NULL AS is_unnamed,
            weights.points > 0 AND (
                counted.quantity NOT BETWEEN - terms.event_points_max AND terms.event_points_max
                OR weights.points * CASE
                    WHEN counted.quantity BETWEEN - terms.event_points_max AND terms.event_points_max
                    THEN counted.quantity
                    ELSE CAST(0 AS BIGINT)
                END NOT BETWEEN - terms.event_points_max AND terms.event_points_max
            ) AS is_beyond
        FROM counted
        CROSS JOIN terms
        CROSS JOIN settled
        LEFT JOIN weights ON weights.type = counted.type
        WHERE counted.origin_period_id = terms.origin_period_id AND counted.seq > settled.seq
    ) AS event
    LEFT JOIN contributions AS own
        ON own.content = event.content
        AND own.creator = event.actor
        AND own.from_at <= event.happened_at
        AND (own.until_at IS NULL OR event.happened_at < own.until_at)
    LEFT JOIN excessive ON excessive.actor = event.actor
)

SELECT seq, position, origin_period_id, clause
FROM judged
WHERE clause <> 'counted'
ORDER BY seq, position

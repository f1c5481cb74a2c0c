-- What becomes of each event of a period. Steps are run in order; each is one statement, named by its comment.
--
-- A row's place is its batch's number times 16384 plus its position: the order of the log as one number.
-- {origin} tells for which period a row is settled now, or is NULL; it is the one part that is filled in, with
-- a CASE over named parameters. $files are the raw files in reach, $own_files those that can hold such rows;
-- files that were written before there were attributes lack that column.
--
-- The table `correction` is small and made before: what holds for which identity as of the seal. A void holds for
-- its identity, a replacement for its identity and period. A replacement is a row of its own, at the place of its
-- correction; what it replaces keeps its place, and so decides what is a repeat.

-- step: candidate
-- The rows that are settled now, by a short hash of their identity that finds what needs a closer look.
CREATE TEMP TABLE candidate AS
SELECT hash(event.identity) AS key, event.seq * 16384 + event.position AS place, {origin} AS origin_period_id
FROM read_parquet($own_files, union_by_name = true) AS event
WHERE event.seq <= $cut_seq AND {origin} IS NOT NULL;

-- step: suspect
-- The hashes that are seen more than once: among the candidates, or among the other rows in reach.
CREATE TEMP TABLE suspect AS
SELECT key FROM candidate GROUP BY key HAVING count(*) > 1
UNION
SELECT hash(event.identity)
FROM read_parquet($files, union_by_name = true) AS event
SEMI JOIN candidate ON candidate.key = hash(event.identity)
WHERE event."at" >= $reach_at AND event.seq <= $cut_seq AND {origin} IS NULL;

-- step: repeat
-- Candidates that are not the first of their identity in reach, beside the first one.
CREATE TEMP TABLE repeat AS
SELECT place, first_place, first_fingerprint, fingerprint = first_fingerprint AS is_equal
FROM (
    SELECT
        place,
        origin_period_id,
        fingerprint,
        first_value(place) OVER earlier AS first_place,
        first_value(fingerprint) OVER earlier AS first_fingerprint
    FROM (
        SELECT
            event.identity,
            event.fingerprint,
            event.seq * 16384 + event.position AS place,
            {origin} AS origin_period_id
        FROM read_parquet($files, union_by_name = true) AS event
        SEMI JOIN suspect ON suspect.key = hash(event.identity)
        WHERE event."at" >= $reach_at AND event.seq <= $cut_seq
    )
    WINDOW earlier AS (PARTITION BY identity ORDER BY place)
)
WHERE origin_period_id IS NOT NULL AND place > first_place;

-- step: corrected
-- Candidates that are the first of their identity in reach, and that a correction took back; and those that came
-- after a void of their identity, repeats or not, which never count.
CREATE TEMP TABLE corrected AS
SELECT
    event.seq * 16384 + event.position AS place,
    event.seq > correction.seq AS is_resent,
    correction.seq AS correction_seq,
    correction.position AS correction_position
FROM read_parquet($own_files, union_by_name = true) AS event
INNER JOIN correction ON correction.identity = event.identity
LEFT JOIN repeat ON repeat.place = event.seq * 16384 + event.position
WHERE event.seq <= $cut_seq AND {origin} IS NOT NULL
    AND CASE
        WHEN correction.is_void THEN repeat.place IS NULL OR event.seq > correction.seq
        ELSE repeat.place IS NULL AND correction.period_id = {origin} AND event.seq < correction.seq
    END;

-- step: counted
COPY (
    SELECT
        event.seq,
        event.position,
        event.source,
        event.id,
        event.type,
        event."at",
        event.day_on,
        event.creator,
        event.content,
        event.actor,
        event.quantity,
        event.identity,
        event.fingerprint,
        event.attributes,
        {origin} AS origin_period_id
    FROM (
        SELECT * FROM read_parquet($own_files, union_by_name = true)
        UNION ALL BY NAME
        SELECT * EXCLUDE (is_void, period_id) FROM correction WHERE NOT is_void
    ) AS event
    ANTI JOIN repeat ON repeat.place = event.seq * 16384 + event.position
    ANTI JOIN corrected ON corrected.place = event.seq * 16384 + event.position
    WHERE event.seq <= $cut_seq AND {origin} IS NOT NULL
    ORDER BY event.creator, event.seq, event.position
) TO $target (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880);

-- step: verdicts
COPY (
    SELECT
        event.identity,
        event.seq,
        event.position,
        CASE
            WHEN repeat.is_equal THEN 'duplicate'
            WHEN repeat.place IS NOT NULL OR corrected.is_resent THEN 'conflict'
            WHEN corrected.place IS NOT NULL THEN 'voided'
            WHEN {origin} = $period_id THEN 'counted'
            ELSE 'late'
        END AS verdict,
        {origin} AS origin_period_id,
        event.fingerprint,
        repeat.first_place // 16384 AS first_seq,
        CAST(repeat.first_place % 16384 AS INTEGER) AS first_position,
        repeat.first_fingerprint,
        corrected.correction_seq,
        corrected.correction_position
    FROM (
        SELECT * FROM read_parquet($own_files, union_by_name = true)
        UNION ALL BY NAME
        SELECT * EXCLUDE (is_void, period_id) FROM correction WHERE NOT is_void
    ) AS event
    LEFT JOIN repeat ON repeat.place = event.seq * 16384 + event.position
    LEFT JOIN corrected ON corrected.place = event.seq * 16384 + event.position
    WHERE event.seq <= $cut_seq AND {origin} IS NOT NULL
    ORDER BY event.identity, event.seq, event.position
) TO $target (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880);

-- step: conflict
-- What differs from the first event of its identity, as it was sent: the lines of quarantine.
CREATE TEMP TABLE conflict AS
SELECT
    event.seq,
    event.position,
    event.source,
    event.id,
    event.type,
    event."at",
    event.creator,
    event.content,
    event.actor,
    event.quantity,
    event.attributes,
    event.fingerprint,
    repeat.first_place // 16384 AS first_seq,
    CAST(repeat.first_place % 16384 AS INTEGER) AS first_position,
    repeat.first_fingerprint
FROM read_parquet($own_files, union_by_name = true) AS event
INNER JOIN repeat ON repeat.place = event.seq * 16384 + event.position
WHERE NOT repeat.is_equal AND event.seq <= $cut_seq AND {origin} IS NOT NULL;

-- Every event that a seal settled and that does not plainly count, in the order of the log.
--
-- $verdicts are the seal's verdicts, $excluded the events that a clause of the rulebook left out. What is
-- settled and not among these rows is counted.
COPY (
    SELECT
        seq,
        CAST(position AS INTEGER) AS position,
        'filtered' AS verdict,
        clause,
        origin_period_id,
        CAST(NULL AS BIGINT) AS first_seq,
        CAST(NULL AS INTEGER) AS first_position
    FROM read_parquet($excluded)
    UNION ALL
    SELECT
        settled.seq,
        settled.position,
        settled.verdict,
        CAST(NULL AS VARCHAR) AS clause,
        settled.origin_period_id,
        settled.first_seq,
        settled.first_position
    FROM read_parquet($verdicts) AS settled
    ANTI JOIN read_parquet($excluded) AS excluded
        ON excluded.seq = settled.seq AND excluded.position = settled.position
    WHERE settled.verdict <> 'counted'
    ORDER BY seq, position
) TO $target (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 16384);

-- What would become of the staged rows of one period, by type. One statement.
--
-- $staged are raw files of staged rows, $verdicts says what would become of every row of the period. A repeat is
-- `within` if the row that counts is staged too, which all those from batch $first_seq on are.
SELECT
    event.type,
    verdict.verdict,
    coalesce(verdict.first_seq >= $first_seq, false) AS is_within,
    count(*) AS event_count
FROM read_parquet($staged) AS event
JOIN read_parquet($verdicts) AS verdict ON verdict.seq = event.seq AND verdict.position = event.position
WHERE verdict.seq >= $first_seq
GROUP BY ALL
ORDER BY ALL;

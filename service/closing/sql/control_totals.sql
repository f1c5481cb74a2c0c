-- What was settled of each total that senders gave: events and the sum of their quantities. One statement.
--
-- `total` holds the totals of a period. $raw are the raw files that hold its rows, $verdicts says what became of
-- each row: every identity once, as it was first sent, whether it was voided later or not. The bounds of all
-- totals cut time into pieces, so that an event is looked at once however many totals hold it.
WITH
own AS (
    SELECT event.source, event.type, event."at", event.quantity
    FROM read_parquet($raw) AS event
    SEMI JOIN total ON total.source = event.source AND total.type = event.type
    ANTI JOIN (
        SELECT seq, position
        FROM read_parquet($verdicts)
        WHERE verdict IN ('duplicate', 'conflict')
    ) AS repeat ON repeat.seq = event.seq AND repeat.position = event.position
    WHERE event.seq <= $cut_seq AND event."at" >= $start_at AND event."at" < $end_at
),
bound AS (
    SELECT start_at AS "at" FROM total
    UNION
    SELECT end_at FROM total
),
piece AS (
    SELECT own.source, own.type, bound."at" AS start_at, count(*) AS event_count, sum(own.quantity) AS quantity
    FROM own
    ASOF JOIN bound ON own."at" >= bound."at"
    GROUP BY ALL
)
SELECT total.id, coalesce(sum(piece.event_count), 0) AS event_count, coalesce(sum(piece.quantity), 0) AS quantity
FROM total
LEFT JOIN piece
    ON piece.source = total.source
    AND piece.type = total.type
    AND piece.start_at >= total.start_at
    AND piece.start_at < total.end_at
GROUP BY total.id
ORDER BY total.id;

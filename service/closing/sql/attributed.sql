-- What counted events attribute, in micro-units, by type and by the period that they are of. One statement.
--
-- `attributed` names the types of attributed revenue; $counted are the files that a seal counts.
SELECT event.type, event.origin_period_id, sum(event.quantity) AS quantity
FROM read_parquet($counted) AS event
SEMI JOIN attributed ON attributed.type = event.type
GROUP BY ALL
ORDER BY ALL;

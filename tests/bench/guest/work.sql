-- Inserts, indexes, joins, grouping and text functions in memory; @WORK@ is the amount.
CREATE TABLE item (id INTEGER PRIMARY KEY, kind INTEGER, name TEXT, price INTEGER);
CREATE TABLE sale (id INTEGER PRIMARY KEY, item INTEGER, amount INTEGER, day INTEGER);
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < @WORK@ * 1500)
INSERT INTO item SELECT i, i * 7919 % 101, 'item ' || (i * 104729 % 99991), i * 31 % 997 FROM n;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < @WORK@ * 9000)
INSERT INTO sale SELECT i, i * 6007 % (@WORK@ * 1500) + 1, i % 13, i * 17 % 365 FROM n;
COMMIT;
CREATE INDEX sale_item ON sale (item);
CREATE INDEX item_name ON item (name);
SELECT kind, count(*), sum(amount * price) FROM sale JOIN item ON item.id = sale.item
  GROUP BY kind ORDER BY 3 DESC, kind LIMIT 10;
SELECT day, count(DISTINCT item), max(amount) FROM sale GROUP BY day ORDER BY 2 DESC, day LIMIT 5;
SELECT count(*), min(name), max(name) FROM item WHERE name LIKE '%77%';
UPDATE sale SET amount = amount + 1
  WHERE item IN (SELECT id FROM item WHERE name BETWEEN 'item 2' AND 'item 5');
DELETE FROM sale WHERE day % 7 = 3;
SELECT count(*), sum(amount), sum(length(name)) FROM sale JOIN item ON item.id = sale.item;
SELECT a.name FROM item a JOIN item b ON b.name > a.name AND b.id = a.id + 1
  ORDER BY a.name LIMIT 5;

-- What different people get for the same queries. psql prints each query before its answer.

\set QUIET on
\set ON_ERROR_STOP on
\pset footer off
\set ECHO queries
\set clara '\'clara@northstar.example\''
\set anna  '\'anna@northstar.example\''
\set sven  '\'sven@northstar.example\''
\set hugo  '\'hugo@northstar.example\''

\echo
\echo '=== 1. One query, five people ==============================================================='
\echo 'The application connects as erp_app for everybody, and says who its user is.'
\echo
\connect - erp_app
\echo '--- nobody has logged in: that is Guest'
SELECT docperm.whoami(), count(*) AS orders, sum(amount) FROM sales_order;

\echo '--- Clara, chief executive: no restriction'
\o /dev/null \\SELECT docperm.set_user(:clara, false); \o
SELECT company, count(*) AS orders, sum(amount) FROM sales_order GROUP BY company ORDER BY company;

\echo '--- Anna, accountant: Northstar Trading, Hide Descendants'
\o /dev/null \\SELECT docperm.set_user(:anna, false); \o
SELECT company, count(*) AS orders, sum(amount) FROM sales_order GROUP BY company ORDER BY company;

\echo '--- Sven, sales: territory Nordics and all below it'
\o /dev/null \\SELECT docperm.set_user(:sven, false); \o
SELECT company, count(*) AS orders, sum(amount) FROM sales_order GROUP BY company ORDER BY company;
SELECT territory, count(*) AS customers FROM customer GROUP BY territory ORDER BY territory;

\echo '--- Hugo, human resources: one factory, Applicable For = Employee; so he sees every company, and no orders'
\o /dev/null \\SELECT docperm.set_user(:hugo, false); \o
SELECT company, department, count(*), avg(salary)::int AS salary FROM employee GROUP BY company, department ORDER BY department;
SELECT (SELECT count(*) FROM company) AS companies, (SELECT count(*) FROM sales_order) AS orders;

\echo
\echo '=== 2. A prepared statement follows the user ================================================='
\echo
SET plan_cache_mode = force_generic_plan;
PREPARE open_invoices AS SELECT count(*), sum(amount) FROM purchase_invoice WHERE status <> 'Paid';
\o /dev/null \\SELECT docperm.set_user(:clara, false); \o
EXECUTE open_invoices;
\o /dev/null \\SELECT docperm.set_user(:anna, false); \o
EXECUTE open_invoices;
\o /dev/null \\SELECT docperm.set_user(:hugo, false); \o
EXECUTE open_invoices;
RESET plan_cache_mode;

\echo
\echo '=== 3. Writing ================================================================================'
\echo 'For one transaction only, as an application behind a connection pool does it.'
\echo
\connect - erp_app
BEGIN;
\o /dev/null \\SELECT docperm.set_user(:sven); \o
\echo '--- Sven enters an order in Sweden'
INSERT INTO sales_order VALUES ('SO-90001', :sven, 'Northstar Trading Nordic', 'Alder Stores', 'Sweden', 'ITEM-001', '2026-10-01', 800)
RETURNING name, owner, territory;
\echo '--- changes all open orders of that customer, of which there are 500: only his own are there to be changed'
WITH changed AS (
    UPDATE sales_order SET status = 'Completed' WHERE customer = 'Alder Stores' AND status = 'To Bill' RETURNING owner
)
SELECT owner, count(*) AS changed FROM changed GROUP BY owner;
COMMIT;
\echo '--- enters an order in Spain: refused'
BEGIN;
\o /dev/null \\SELECT docperm.set_user(:sven); \o
\set ON_ERROR_STOP off
INSERT INTO sales_order VALUES ('SO-90002', :sven, 'Northstar Trading Iberia', 'Cedar Stores', 'Spain', 'ITEM-001', '2026-10-01', 800);
\set ON_ERROR_STOP on
\echo 'SQLSTATE' :LAST_ERROR_SQLSTATE
ROLLBACK;
\echo '--- the transaction is over, and with it Sven'
SELECT docperm.whoami();

\echo
\echo '=== 4. A reporting tool that knows nothing of docperm ========================================='
\echo 'It connects with a database role of its own, bi_reader, which is mapped to a user.'
\echo
\connect - bi_reader
SELECT docperm.whoami();
SELECT date_trunc('quarter', o.order_date)::date AS quarter, c.name AS company, count(*) AS orders, sum(o.amount)
  FROM sales_order o JOIN company c ON c.name = o.company
 GROUP BY 1, 2 ORDER BY 1, 2;
\echo '--- it cannot become somebody else'
\set ON_ERROR_STOP off
SELECT docperm.set_user(:clara);
\set ON_ERROR_STOP on
\echo 'SQLSTATE' :LAST_ERROR_SQLSTATE

\echo
\echo '=== 5. Why? ==================================================================================='
\echo
\connect - erp_app
\o /dev/null \\SELECT docperm.set_user(:sven, false); \o
\echo '--- an order in Sweden'
SELECT rule, verdict, detail FROM docperm.explain_access('Sales Order', 'SO-90001', 'read');
\echo '--- an order in Spain'
SELECT rule, verdict, detail FROM docperm.explain_access('Sales Order', 'SO-00076', 'read');
\echo '--- somebody else\'s order in Sweden, which he wants to change'
SELECT rule, verdict, detail FROM docperm.explain_access('Sales Order', 'SO-00026', 'write');

\echo
\echo '=== 6. What it costs =========================================================================='
\echo 'No function runs for each row: the plan holds plain conditions on plain columns, and uses their indexes.'
\echo
\echo '--- Sven'
EXPLAIN (COSTS OFF) SELECT name, amount FROM sales_order WHERE order_date >= '2026-09-20' ORDER BY order_date DESC LIMIT 20;
\o /dev/null \\SELECT docperm.set_user(:clara, false); \o
\echo '--- Clara, whom nothing restricts'
EXPLAIN (COSTS OFF) SELECT count(*) FROM sales_order;

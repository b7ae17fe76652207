-- The data of the benchmark: one small ERP schema, made twice with the same rows in the same order.
--   erp   protected by docperm; a role with BYPASSRLS reads the same pages for the hand-written WHERE and for "no RLS"
--   rls   the twin that carries the rivals' policies
-- Every value is a hash of the row number and the seed, so two runs with one seed have the same data.
-- psql variables: rows, targets, seed.

CREATE SCHEMA erp;
CREATE SCHEMA rls;
CREATE SCHEMA permit;

-- A number from 0 to buckets - 1, always the same for the same row, column and seed.
CREATE FUNCTION permit.pick(row_number bigint, column_number integer, buckets bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(row_number, :seed * 100 + column_number) & 9223372036854775807) % buckets;

CREATE TABLE erp.customer (
    name           text    PRIMARY KEY,
    customer_group text    NOT NULL,
    credit_limit   numeric NOT NULL
);
CREATE TABLE erp.project (
    id    integer PRIMARY KEY,
    title text    NOT NULL
);
CREATE TABLE erp.territory (
    name text PRIMARY KEY
);
CREATE TABLE erp.sales_order (
    id           bigint        NOT NULL,
    title        text          NOT NULL,
    customer     text,
    project      integer,
    territory    text,
    sales_person text          NOT NULL,
    status       text          NOT NULL,
    created      timestamptz   NOT NULL,
    grand_total  numeric(12,2) NOT NULL,
    remarks      text          NOT NULL
);
CREATE TABLE erp.ledger_entry (
    id        bigint        NOT NULL,
    customer  text,
    project   integer,
    territory text,
    posted    date          NOT NULL,
    amount    numeric(12,2) NOT NULL
) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE erp.ledger_entry_%s PARTITION OF erp.ledger_entry FOR VALUES FROM (%s) TO (%s)', i, i * :rows / 16 + 1, (i + 1) * :rows / 16 + 1)
  FROM generate_series(0, 15) AS i \gexec

INSERT INTO erp.customer
SELECT 'CUST-' || lpad(i::text, 6, '0'), 'group ' || permit.pick(i, 1, 50), permit.pick(i, 2, 100000)
  FROM generate_series(1, :targets) AS i;
INSERT INTO erp.project   SELECT i, 'Project ' || i                     FROM generate_series(1, :targets) AS i;
INSERT INTO erp.territory SELECT 'TERR-' || lpad(i::text, 6, '0')       FROM generate_series(1, :targets) AS i;

-- Each link is blank in 2 of 100 rows.
INSERT INTO erp.sales_order
SELECT i,
       substr(md5(i::text), 1, 8) || ' order',
       CASE WHEN permit.pick(i, 11, 100) >= 2 THEN 'CUST-' || lpad((1 + permit.pick(i, 12, :targets))::text, 6, '0') END,
       CASE WHEN permit.pick(i, 13, 100) >= 2 THEN 1 + permit.pick(i, 14, :targets) END,
       CASE WHEN permit.pick(i, 15, 100) >= 2 THEN 'TERR-' || lpad((1 + permit.pick(i, 16, :targets))::text, 6, '0') END,
       'person ' || permit.pick(i, 17, greatest(:rows / 500, 1)),
       (ARRAY['Draft', 'To Deliver', 'To Bill', 'Completed', 'Cancelled'])[1 + permit.pick(i, 18, 5)],
       timestamptz '2020-01-01 00:00 UTC' + i * interval '1 minute',
       permit.pick(i, 19, 10000000) / 100.0,
       repeat('x', 40 + permit.pick(i, 20, 40)::integer)
  FROM generate_series(1, :rows) AS i;
INSERT INTO erp.ledger_entry
SELECT i,
       CASE WHEN permit.pick(i, 31, 100) >= 2 THEN 'CUST-' || lpad((1 + permit.pick(i, 32, :targets))::text, 6, '0') END,
       CASE WHEN permit.pick(i, 33, 100) >= 2 THEN 1 + permit.pick(i, 34, :targets) END,
       CASE WHEN permit.pick(i, 35, 100) >= 2 THEN 'TERR-' || lpad((1 + permit.pick(i, 36, :targets))::text, 6, '0') END,
       date '2020-01-01' + (i * 1500 / :rows)::integer,
       permit.pick(i, 37, 10000000) / 100.0
  FROM generate_series(1, :rows) AS i;

-- The twin: the same rows in the same physical order.
SET synchronize_seqscans = off;
CREATE TABLE rls.customer     (LIKE erp.customer);
CREATE TABLE rls.project      (LIKE erp.project);
CREATE TABLE rls.territory    (LIKE erp.territory);
CREATE TABLE rls.sales_order  (LIKE erp.sales_order);
CREATE TABLE rls.ledger_entry (LIKE erp.ledger_entry) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE rls.ledger_entry_%s PARTITION OF rls.ledger_entry FOR VALUES FROM (%s) TO (%s)', i, i * :rows / 16 + 1, (i + 1) * :rows / 16 + 1)
  FROM generate_series(0, 15) AS i \gexec
INSERT INTO rls.customer     SELECT * FROM erp.customer;
INSERT INTO rls.project      SELECT * FROM erp.project;
INSERT INTO rls.territory    SELECT * FROM erp.territory;
INSERT INTO rls.sales_order  SELECT * FROM erp.sales_order;
SELECT format('INSERT INTO rls.ledger_entry SELECT * FROM erp.ledger_entry_%s', i) FROM generate_series(0, 15) AS i \gexec

-- Indexes as an expert would have them: every link, and every column that a query below filters or sorts by.
SELECT format(statement, schema)
  FROM unnest(ARRAY['erp', 'rls']) AS schema,
       unnest(ARRAY[
           'ALTER  TABLE %1$I.sales_order ADD PRIMARY KEY (id)',
           'CREATE INDEX sales_order_customer     ON %1$I.sales_order (customer)',
           'CREATE INDEX sales_order_project      ON %1$I.sales_order (project)',
           'CREATE INDEX sales_order_territory    ON %1$I.sales_order (territory)',
           'CREATE INDEX sales_order_sales_person ON %1$I.sales_order (sales_person)',
           'CREATE INDEX sales_order_created      ON %1$I.sales_order (created)',
           'CREATE INDEX sales_order_grand_total  ON %1$I.sales_order (grand_total)',
           'CREATE INDEX sales_order_title        ON %1$I.sales_order (title text_pattern_ops)',
           'ALTER  TABLE %1$I.ledger_entry ADD PRIMARY KEY (id)',
           'CREATE INDEX ledger_entry_customer    ON %1$I.ledger_entry (customer)',
           'CREATE INDEX ledger_entry_project     ON %1$I.ledger_entry (project)',
           'CREATE INDEX ledger_entry_territory   ON %1$I.ledger_entry (territory)',
           'CREATE INDEX ledger_entry_posted      ON %1$I.ledger_entry (posted)']) AS statement \gexec
SELECT format('ALTER TABLE %I.%I ADD PRIMARY KEY (%I)', 'rls', target, key)
  FROM (VALUES ('customer', 'name'), ('project', 'id'), ('territory', 'name')) AS targets (target, key) \gexec
SELECT format('ALTER TABLE %1$I.%2$I ADD FOREIGN KEY (%3$I) REFERENCES %1$I.%3$I', schema, document, target)
  FROM unnest(ARRAY['erp', 'rls']) AS schema,
       unnest(ARRAY['sales_order', 'ledger_entry']) AS document,
       unnest(ARRAY['customer', 'project', 'territory']) AS target \gexec

-- Who may see what: a user with n values has those of rank 1 to n.
CREATE TABLE permit.customer  AS SELECT name AS value, row_number() OVER (ORDER BY permit.pick(right(name, 6)::bigint, 51, 1::bigint << 60)) AS rank FROM erp.customer;
CREATE TABLE permit.project   AS SELECT id   AS value, row_number() OVER (ORDER BY permit.pick(id, 52, 1::bigint << 60))                     AS rank FROM erp.project;
CREATE TABLE permit.territory AS SELECT name AS value, row_number() OVER (ORDER BY permit.pick(right(name, 6)::bigint, 53, 1::bigint << 60)) AS rank FROM erp.territory;
SELECT format('CREATE UNIQUE INDEX ON permit.%I (rank)', target) FROM unnest(ARRAY['customer', 'project', 'territory']) AS target \gexec

-- Reads the tables without any policy: the hand-written WHERE and "no RLS".
CREATE ROLE bench_plain LOGIN BYPASSRLS;
GRANT USAGE ON SCHEMA erp, permit TO bench_plain;
GRANT SELECT ON ALL TABLES IN SCHEMA erp TO bench_plain;

-- What the benchmark of the wider model needs beside the documents with links: a document with ten rows in a child table,
-- and documents to share.
-- psql variables: rows, targets.

-- A tenth as many deliveries as sales orders, with ten items each. Items are of one hundred projects, so that a user who
-- may see most of these still sees a good part of the deliveries.
CREATE TABLE erp.delivery (
    id          bigint        NOT NULL,
    customer    text,
    posted      timestamptz   NOT NULL,
    grand_total numeric(12,2) NOT NULL
);
CREATE TABLE erp.delivery_item (
    id      bigint        NOT NULL,
    parent  bigint        NOT NULL,
    project integer,
    amount  numeric(12,2) NOT NULL
);
INSERT INTO erp.delivery
SELECT i,
       CASE WHEN permit.pick(i, 61, 100) >= 2 THEN 'CUST-' || lpad((1 + permit.pick(i, 62, :targets))::text, 6, '0') END,
       timestamptz '2020-01-01 00:00 UTC' + i * interval '10 minutes',
       permit.pick(i, 63, 10000000) / 100.0
  FROM generate_series(1, :rows / 10) AS i;
INSERT INTO erp.delivery_item
SELECT i,
       1 + (i - 1) / 10,
       CASE WHEN permit.pick(i, 71, 100) >= 2 THEN 1 + permit.pick(i, 72, 100) END,
       permit.pick(i, 73, 1000000) / 100.0
  FROM generate_series(1, :rows / 10 * 10) AS i;

ALTER  TABLE erp.delivery      ADD PRIMARY KEY (id);
CREATE INDEX delivery_customer     ON erp.delivery (customer);
CREATE INDEX delivery_posted       ON erp.delivery (posted);
ALTER  TABLE erp.delivery_item ADD PRIMARY KEY (id);
CREATE INDEX delivery_item_parent  ON erp.delivery_item (parent);
CREATE INDEX delivery_item_project ON erp.delivery_item (project);
ALTER  TABLE erp.delivery      ADD FOREIGN KEY (customer) REFERENCES erp.customer;
ALTER  TABLE erp.delivery_item ADD FOREIGN KEY (project)  REFERENCES erp.project,
                               ADD FOREIGN KEY (parent)   REFERENCES erp.delivery;

-- Which documents are shared: a user with n shares has those of rank 1 to n.
CREATE TABLE permit.shared AS
SELECT id AS value, row_number() OVER (ORDER BY permit.pick(id, 81, 1::bigint << 60)) AS rank FROM erp.sales_order;
DELETE FROM permit.shared WHERE rank > greatest(:rows / 10, 1000);
CREATE UNIQUE INDEX ON permit.shared (rank);

GRANT SELECT ON ALL TABLES IN SCHEMA erp, permit TO bench_plain;
VACUUM (ANALYZE, FREEZE) erp.delivery, erp.delivery_item, permit.shared;

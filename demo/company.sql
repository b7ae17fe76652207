-- Northstar, a small trading group: what an ERP has before anybody thinks of permissions.
-- Plain tables with primary and foreign keys; the rows are the same at every run.

\set ON_ERROR_STOP on

CREATE TABLE company (
    name           text PRIMARY KEY,
    parent_company text REFERENCES company,
    country        text NOT NULL
);

INSERT INTO company VALUES
    ('Northstar Group',          NULL,                'Switzerland'),
    ('Northstar Manufacturing',  'Northstar Group',   'Germany'),
    ('Northstar Trading',        'Northstar Group',   'Netherlands'),
    ('Northstar Trading Nordic', 'Northstar Trading', 'Sweden'),
    ('Northstar Trading Iberia', 'Northstar Trading', 'Spain');

CREATE TABLE territory (
    name             text PRIMARY KEY,
    parent_territory text REFERENCES territory
);

INSERT INTO territory VALUES
    ('World',    NULL),
    ('Europe',   'World'),
    ('Nordics',  'Europe'),
    ('Sweden',   'Nordics'),
    ('Denmark',  'Nordics'),
    ('Iberia',   'Europe'),
    ('Spain',    'Iberia'),
    ('Portugal', 'Iberia'),
    ('Germany',  'Europe'),
    ('Americas', 'World'),
    ('USA',      'Americas'),
    ('Canada',   'Americas');

CREATE TABLE customer (
    name      text PRIMARY KEY,
    territory text NOT NULL REFERENCES territory
);

INSERT INTO customer
SELECT format('%s %s', (ARRAY['Alder', 'Birch', 'Cedar', 'Dogwood', 'Elm', 'Fir', 'Hazel', 'Juniper'])[1 + n % 8],
                       (ARRAY['Stores', 'Foods', 'Hotels', 'Works', 'Supply'])[1 + n / 8]),
       (ARRAY['Sweden', 'Denmark', 'Spain', 'Portugal', 'Germany', 'USA', 'Canada'])[1 + n % 7]
  FROM generate_series(0, 39) AS n;

CREATE TABLE item (
    code  text PRIMARY KEY,
    title text NOT NULL,
    price numeric(10,2) NOT NULL
);

INSERT INTO item
SELECT format('ITEM-%s', to_char(n, 'FM000')),
       format('%s %s', (ARRAY['Oak', 'Steel', 'Glass', 'Linen'])[1 + n % 4],
                       (ARRAY['table', 'chair', 'lamp', 'shelf', 'desk'])[1 + n % 5]),
       10 + n * 37 % 490
  FROM generate_series(1, 40) AS n;

-- Enough orders that an index is worth its while.
CREATE TABLE sales_order (
    name       text PRIMARY KEY,
    owner      text NOT NULL,
    company    text NOT NULL REFERENCES company,
    customer   text NOT NULL REFERENCES customer,
    territory  text NOT NULL REFERENCES territory,
    item       text NOT NULL REFERENCES item,
    order_date date NOT NULL,
    amount     numeric(12,2) NOT NULL,
    status     text NOT NULL DEFAULT 'Draft'
);

INSERT INTO sales_order
SELECT format('SO-%s', to_char(n, 'FM00000')),
       (ARRAY['sven@northstar.example', 'clara@northstar.example', 'import@northstar.example'])[1 + n % 3],
       CASE c.territory
            WHEN 'Sweden'   THEN 'Northstar Trading Nordic'
            WHEN 'Denmark'  THEN 'Northstar Trading Nordic'
            WHEN 'Spain'    THEN 'Northstar Trading Iberia'
            WHEN 'Portugal' THEN 'Northstar Trading Iberia'
            WHEN 'Germany'  THEN 'Northstar Manufacturing'
            ELSE                 'Northstar Trading'
       END,
       c.name, c.territory,
       format('ITEM-%s', to_char(1 + n % 40, 'FM000')),
       date '2026-01-01' + n % 270,
       50 + (n * 7919::bigint) % 9950,
       (ARRAY['Draft', 'To Deliver', 'To Bill', 'Completed'])[1 + n % 4]
  FROM generate_series(1, 20000) AS n
  JOIN (SELECT *, row_number() OVER (ORDER BY name) - 1 AS k FROM customer) AS c ON c.k = n * 17 % 40;

CREATE INDEX ON sales_order (company);
CREATE INDEX ON sales_order (customer);
CREATE INDEX ON sales_order (item);
CREATE INDEX ON sales_order (territory, order_date);
CREATE INDEX ON sales_order (owner);

CREATE TABLE purchase_invoice (
    name     text PRIMARY KEY,
    owner    text NOT NULL,
    company  text NOT NULL REFERENCES company,
    supplier text NOT NULL,
    due_date date NOT NULL,
    amount   numeric(12,2) NOT NULL,
    status   text NOT NULL
);

INSERT INTO purchase_invoice
SELECT format('PINV-%s', to_char(n, 'FM0000')),
       'anna@northstar.example',
       (ARRAY['Northstar Group', 'Northstar Manufacturing', 'Northstar Trading', 'Northstar Trading Nordic',
              'Northstar Trading Iberia'])[1 + n % 5],
       (ARRAY['Baltic Timber', 'Ruhr Steel', 'Murano Glass', 'Flax & Co'])[1 + n % 4],
       date '2026-02-01' + n % 200,
       100 + n * 331 % 9000,
       (ARRAY['Unpaid', 'Paid', 'Overdue'])[1 + n % 3]
  FROM generate_series(1, 300) AS n;

CREATE INDEX ON purchase_invoice (company);

CREATE TABLE employee (
    name          text PRIMARY KEY,
    employee_name text NOT NULL,
    company       text NOT NULL REFERENCES company,
    department    text NOT NULL,
    salary        numeric(10,2) NOT NULL
);

INSERT INTO employee
SELECT format('EMP-%s', to_char(n, 'FM000')),
       format('%s %s', (ARRAY['Ada', 'Bo', 'Cleo', 'Dag', 'Eva', 'Finn', 'Gro'])[1 + n % 7],
                       (ARRAY['Lind', 'Meyer', 'Novak', 'Ortiz', 'Peeters'])[1 + n % 5]),
       (ARRAY['Northstar Group', 'Northstar Manufacturing', 'Northstar Manufacturing', 'Northstar Trading',
              'Northstar Trading Nordic', 'Northstar Trading Iberia'])[1 + n % 6],
       (ARRAY['Management', 'Sales', 'Production', 'Accounts'])[1 + n % 4],
       2500 + n * 173 % 4000
  FROM generate_series(1, 120) AS n;

CREATE INDEX ON employee (company);

ANALYZE;

-- Two database roles, as they are everywhere: the one of the application's connection pool, and the one of a reporting
-- tool. What PostgreSQL's own privileges allow them is the outer limit; docperm decides about rows.
CREATE ROLE erp_app LOGIN;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO erp_app;

CREATE ROLE bi_reader LOGIN;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO bi_reader;

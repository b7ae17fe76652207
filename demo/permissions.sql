-- Northstar under docperm: which tables are protected, what each role may do, and whom that is narrowed for.

\set ON_ERROR_STOP on

CREATE EXTENSION docperm;

-- 1. The tables. Foreign keys between them become links by themselves.
SELECT docperm.protect('company',          'Company',   tree_parent_column => 'parent_company');
SELECT docperm.protect('territory',        'Territory', tree_parent_column => 'parent_territory');
SELECT docperm.protect('customer',         'Customer');
SELECT docperm.protect('item',             'Item');
SELECT docperm.protect('sales_order',      'Sales Order',      owner_column => 'owner');
SELECT docperm.protect('purchase_invoice', 'Purchase Invoice', owner_column => 'owner');
SELECT docperm.protect('employee',         'Employee');

-- 2. The roles, and what each may do.
INSERT INTO docperm.roles (name) VALUES
    ('Sales Manager'), ('Sales User'), ('Accounts Manager'), ('Accounts User'), ('HR Manager'), ('HR User'), ('Analyst');

INSERT INTO docperm.role_permissions (doctype, role, rights) VALUES
    ('Company',          'Desk User',        '{read}'),
    ('Territory',        'Desk User',        '{read}'),
    ('Item',             'Desk User',        '{read}'),
    ('Customer',         'Sales Manager',    '{read,write,create,delete}'),
    ('Customer',         'Sales User',       '{read}'),
    ('Customer',         'Accounts User',    '{read}'),
    ('Sales Order',      'Sales Manager',    '{read,write,create,delete}'),
    ('Sales Order',      'Sales User',       '{read,create}'),
    ('Sales Order',      'Accounts User',    '{read}'),
    ('Sales Order',      'Analyst',          '{read}'),
    ('Purchase Invoice', 'Accounts Manager', '{read,write,create,delete}'),
    ('Purchase Invoice', 'Accounts User',    '{read,write,create}'),
    ('Employee',         'HR Manager',       '{read,write,create,delete}'),
    ('Employee',         'HR User',          '{read,write}');

-- Everybody in sales reads and enters orders, but changes only his own.
INSERT INTO docperm.role_permissions (doctype, role, if_owner, rights) VALUES
    ('Sales Order', 'Sales User', true, '{write}');

-- 3. The people. The reporting tool is one of them: whoever connects as bi_reader is this user.
INSERT INTO docperm.users (name, first_name, db_role) VALUES
    ('clara@northstar.example', 'Clara', NULL),         -- chief executive
    ('anna@northstar.example',  'Anna',  NULL),         -- accountant of one subsidiary
    ('sven@northstar.example',  'Sven',  NULL),         -- sales representative in the north
    ('hugo@northstar.example',  'Hugo',  NULL),         -- clerk in human resources
    ('bi@northstar.example',    'BI',    'bi_reader');  -- reports

INSERT INTO docperm.user_roles (user_name, role) VALUES
    ('clara@northstar.example', 'Sales Manager'),
    ('clara@northstar.example', 'Accounts Manager'),
    ('clara@northstar.example', 'HR Manager'),
    ('anna@northstar.example',  'Accounts User'),
    ('sven@northstar.example',  'Sales User'),
    ('hugo@northstar.example',  'HR User'),
    ('bi@northstar.example',    'Analyst');

-- 4. Whom it is narrowed for. Nobody narrows Clara.
INSERT INTO docperm.user_permissions (user_name, allow, for_value, applicable_for, hide_descendants) VALUES
    -- Anna: this subsidiary, but not the companies below it.
    ('anna@northstar.example', 'Company',   'Northstar Trading',       NULL,       true),
    -- Sven: the Nordics, with every territory below them.
    ('sven@northstar.example', 'Territory', 'Nordics',                 NULL,       false),
    -- Hugo: one factory; but only as far as employees are concerned.
    ('hugo@northstar.example', 'Company',   'Northstar Manufacturing', 'Employee', false),
    -- Reports: the trading companies.
    ('bi@northstar.example',   'Company',   'Northstar Trading',       NULL,       false);

-- 5. The application says who its user is; no other database role may.
GRANT EXECUTE ON FUNCTION docperm.set_user(text, boolean) TO erp_app;

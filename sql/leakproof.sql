-- Comparisons that give nothing away.
--
-- PostgreSQL lets a condition of the query's own be tested before a policy's, by an index
-- for instance, only if its function is leakproof: it must tell nothing about its
-- arguments but by its result, so also never fail for some of them. Comparisons of
-- numeric values and equality of enum values keep to that, but PostgreSQL does not call
-- them leakproof. LIKE keeps to it but for patterns that end in the escape character, for
-- which it fails on some values and not on others; docperm's own is false for them. In
-- queries on protected tables the planner is given these functions in place of the
-- operators' own; nobody needs to call them, and who does learns nothing.

CREATE FUNCTION docperm._numeric_eq(numeric, numeric) RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'numeric_eq';
CREATE FUNCTION docperm._numeric_ne(numeric, numeric) RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'numeric_ne';
CREATE FUNCTION docperm._numeric_lt(numeric, numeric) RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'numeric_lt';
CREATE FUNCTION docperm._numeric_le(numeric, numeric) RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'numeric_le';
CREATE FUNCTION docperm._numeric_gt(numeric, numeric) RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'numeric_gt';
CREATE FUNCTION docperm._numeric_ge(numeric, numeric) RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'numeric_ge';
CREATE FUNCTION docperm._enum_eq(anyenum, anyenum)    RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'enum_eq';
CREATE FUNCTION docperm._enum_ne(anyenum, anyenum)    RETURNS boolean LANGUAGE internal IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1 AS 'enum_ne';

CREATE FUNCTION docperm._textlike(text, text) RETURNS boolean
    LANGUAGE c IMMUTABLE PARALLEL SAFE STRICT LEAKPROOF COST 1
    SUPPORT pg_catalog.textlike_support
AS 'MODULE_PATHNAME', 'docperm_textlike';

COMMENT ON FUNCTION docperm._numeric_eq(numeric, numeric) IS 'Internal: = of numeric, leakproof';
COMMENT ON FUNCTION docperm._numeric_ne(numeric, numeric) IS 'Internal: <> of numeric, leakproof';
COMMENT ON FUNCTION docperm._numeric_lt(numeric, numeric) IS 'Internal: < of numeric, leakproof';
COMMENT ON FUNCTION docperm._numeric_le(numeric, numeric) IS 'Internal: <= of numeric, leakproof';
COMMENT ON FUNCTION docperm._numeric_gt(numeric, numeric) IS 'Internal: > of numeric, leakproof';
COMMENT ON FUNCTION docperm._numeric_ge(numeric, numeric) IS 'Internal: >= of numeric, leakproof';
COMMENT ON FUNCTION docperm._enum_eq(anyenum, anyenum)    IS 'Internal: = of enum types, leakproof';
COMMENT ON FUNCTION docperm._enum_ne(anyenum, anyenum)    IS 'Internal: <> of enum types, leakproof';
COMMENT ON FUNCTION docperm._textlike(text, text)         IS
    'Internal: LIKE of texts under a deterministic collation, leakproof; false, not an error, for a pattern that ends in the escape character';

-- Plans call them with the privileges of whoever queries.
REVOKE ALL ON FUNCTION docperm._numeric_eq(numeric, numeric), docperm._numeric_ne(numeric, numeric),
                       docperm._numeric_lt(numeric, numeric), docperm._numeric_le(numeric, numeric),
                       docperm._numeric_gt(numeric, numeric), docperm._numeric_ge(numeric, numeric),
                       docperm._enum_eq(anyenum, anyenum),    docperm._enum_ne(anyenum, anyenum),
                       docperm._textlike(text, text)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION docperm._numeric_eq(numeric, numeric), docperm._numeric_ne(numeric, numeric),
                          docperm._numeric_lt(numeric, numeric), docperm._numeric_le(numeric, numeric),
                          docperm._numeric_gt(numeric, numeric), docperm._numeric_ge(numeric, numeric),
                          docperm._enum_eq(anyenum, anyenum),    docperm._enum_ne(anyenum, anyenum),
                          docperm._textlike(text, text)
    TO PUBLIC;

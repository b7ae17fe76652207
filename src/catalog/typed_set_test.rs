//! In a backend: sets of names find what SQL finds in keys of integers and of other types than texts, and what a set is by
//! itself.

#[pgrx::pg_schema]
mod tests {
    use std::rc::Rc;

    use pgrx::pg_sys;
    use pgrx::prelude::*;

    use crate::catalog::key_column::{key, run, set_of, type_named};
    use crate::catalog::typed_set::{TypedSet, registered};
    use crate::catalog::values;

    // Integers. SQL compares them as numeric: names beyond the type are no error there.

    #[pg_test]
    fn smallint_keys() {
        let names = ["5", "007", "-1", "0", "-32768", "32767", "32768", "65545", "99999999999999999999"];
        let values = ["5", "6", "7", "9", "-1", "1", "0", "-32768", "32767", "-32767", "32766"];
        assert_eq!(
            key("smallint", "numeric").members(&names, &values),
            ["5", "7", "-1", "0", "-32768", "32767"]
        );
    }

    #[pg_test]
    fn integer_keys() {
        let names = ["5", "-5", "0", "-2147483648", "2147483647", "2147483648", "4294967305"];
        let values = ["5", "-5", "6", "9", "0", "-2147483648", "2147483647", "-2147483647", "-1", "1"];
        assert_eq!(
            key("integer", "numeric").members(&names, &values),
            ["5", "-5", "0", "-2147483648", "2147483647"]
        );
    }

    #[pg_test]
    fn bigint_keys() {
        let (least, most) = ("-9223372036854775808", "9223372036854775807");
        let names = [least, most, "9223372036854775808", "-9223372036854775809", "4294967296", "-1"];
        let values = [least, most, "0", "-1", "1", "4294967296", "8589934592", "-9223372036854775807"];
        assert_eq!(key("bigint", "numeric").members(&names, &values), [least, most, "-1", "4294967296"]);
    }

    #[pg_test]
    fn without_its_extremes_an_integer_set_does_not_hold_them() {
        for (declared, extremes) in [
            ("smallint", ["-32768", "32767"]),
            ("integer", ["-2147483648", "2147483647"]),
            ("bigint", ["-9223372036854775808", "9223372036854775807"]),
        ] {
            let none: [&str; 0] = [];
            assert_eq!(key(declared, "numeric").members(&["0", "1", "-1"], &extremes), none);
        }
    }

    #[pg_test]
    fn names_that_are_no_integer_name_nothing() {
        for type_name in ["smallint", "integer", "bigint"] {
            let type_oid = type_named(type_name);
            let names = ["5", "", "abc", "1.0", "0x6", "1e0", "7seven", "NULL"];
            let set = TypedSet::build(&set_of(&names), type_oid, pg_sys::InvalidOid);
            let held: Vec<i64> =
                (-300..300).filter(|value| set.contains(pg_sys::Datum::from(*value))).collect();
            assert_eq!(held, [5], "{type_name}");
            for name in &names[1..] {
                assert!(values::value_of(name, type_oid).is_none(), "{type_name} {name:?}");
            }
        }
    }

    #[pg_test]
    fn thousands_of_keys() {
        let squares: Vec<String> = (0..3000_i64).map(|n| (n * n - 1000).to_string()).collect();
        let squares: Vec<&str> = squares.iter().map(String::as_str).collect();
        let asked: Vec<String> = (-1200..4000).map(|n| n.to_string()).collect();
        let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
        for (declared, element) in
            [("integer", "integer"), ("bigint", "bigint"), ("text", "text"), ("char(8)", "bpchar")]
        {
            let found = key(declared, element).members(&squares, &asked);
            assert_eq!(found, squares[..71], "{declared}");
        }
    }

    // Other types, with other spellings of the same value.

    #[pg_test]
    fn uuid_keys() {
        let (one, other) = ("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12");
        let least = "00000000-0000-0000-0000-000000000000";
        let names = ["{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "00000000000000000000000000000000"];
        assert_eq!(key("uuid", "uuid").members(&names, &[one, other, least]), [one, least]);
    }

    #[pg_test]
    fn numeric_keys() {
        let large = "123456789012345678901234567890.0000000000000000000000001";
        let names = ["1.0", "2.50", "1e3", "-0.00", "NaN", large];
        let values = ["1", "1.00", "1.01", "2.5", "1000.0", "0", "NaN", "Infinity", "-1", large];
        let members = ["1", "1.00", "2.5", "1000.0", "0", "NaN", large];
        assert_eq!(key("numeric", "numeric").members(&names, &values), members);
        let found = key("numeric(8, 2)", "numeric").members(&["1", "1.005", "3.14"], &["1", "1.005", "3.14"]);
        assert_eq!(found, ["1.00", "3.14"], "the column rounds, a name does not");
    }

    #[pg_test]
    fn date_and_timestamp_keys() {
        let values = ["2024-02-29", "2024-03-01", "infinity", "-infinity"];
        let names = ["2024-2-29", "20240229", "infinity"];
        assert_eq!(key("date", "date").members(&names, &values), ["2024-02-29", "infinity"]);

        let values = ["2024-06-01 10:00:00+00", "2024-06-01 12:00:00+00"];
        let found = key("timestamptz", "timestamptz").members(&["2024-06-01 12:00:00+02"], &values);
        assert_eq!(found.len(), 1);
    }

    #[pg_test]
    fn enum_keys() {
        run("CREATE TYPE colour AS ENUM ('red', 'green', 'Green', 'blue')");
        let found = key("colour", "colour").members(&["green", "blue"], &["red", "green", "Green", "blue"]);
        assert_eq!(found, ["green", "blue"]);
    }

    #[pg_test(error = "invalid input value for enum colour: \"mauve\"")]
    fn a_name_that_an_enum_does_not_have() {
        run("CREATE TYPE colour AS ENUM ('red')");
        TypedSet::build(&set_of(&["red", "mauve"]), type_named("colour"), pg_sys::InvalidOid);
    }

    #[pg_test]
    fn keys_of_a_domain_and_of_a_domain_over_it() {
        run("CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]+$')");
        run("CREATE DOMAIN short_code AS code CHECK (length(VALUE) < 4)");
        run("CREATE DOMAIN positive AS smallint CHECK (VALUE > 0)");
        // A name that the domain refuses is a name that no document has.
        let names = ["AB", "ABCDE", "lower", ""];
        assert_eq!(key("code", "text").members(&names, &["A", "AB", "ABCDE"]), ["AB", "ABCDE"]);
        assert_eq!(key("short_code", "text").members(&names, &["A", "AB"]), ["AB"]);
        assert_eq!(key("positive", "numeric").members(&["-1", "7", "70000"], &["1", "7"]), ["7"]);
        assert_eq!(values::base_type(type_named("short_code")), pg_sys::TEXTOID);
        // Also by the domain's own name, which is what a column says.
        let set = TypedSet::build(&set_of(&["7"]), type_named("positive"), pg_sys::InvalidOid);
        assert!(set.type_oid == pg_sys::INT2OID && set.contains(7_i16.into()) && !set.contains(8_i16.into()));
    }

    #[pg_test]
    fn keys_of_a_type_without_a_hash_function() {
        let values = ["101", "0101", "1010", "10", ""];
        assert_eq!(key("varbit", "varbit").members(&["101", "10", "1"], &values), ["101", "10"]);
    }

    #[pg_test]
    fn keys_of_a_type_with_polymorphic_functions() {
        let names = ["[1,3)", "empty"];
        let values = ["[1,2]", "(0,2]", "[1,3]", "[5,5)", "[1,)"];
        let members = ["[1,3)", "[1,3)", "empty"];
        assert_eq!(key("int4range", "int4range").members(&names, &values), members);
    }

    #[pg_test(error = "the type of a key or link column has no equality operator")]
    fn a_type_without_equality_makes_no_key() {
        TypedSet::build(&set_of(&["{}"]), pg_sys::JSONOID, pg_sys::InvalidOid);
    }

    #[pg_test]
    fn an_empty_set_holds_nothing() {
        for (declared, element, value) in [
            ("smallint", "smallint", "0"),
            ("integer", "integer", "0"),
            ("bigint", "bigint", "0"),
            ("text", "text", ""),
            ("varchar(5)", "varchar", ""),
            ("char(3)", "bpchar", ""),
            ("uuid", "uuid", "00000000-0000-0000-0000-000000000000"),
            ("numeric", "numeric", "0"),
            ("date", "date", "2000-01-01"),
        ] {
            let key = key(declared, element);
            assert_eq!(key.members(&[], &[value]).len(), 0, "{declared}");
            assert_eq!(key.members(&[value], &[value]).len(), 1, "{declared}");
        }
    }

    // Sets by themselves.

    #[pg_test]
    fn a_set_is_found_by_its_number_and_secret_as_long_as_it_lives() {
        let names = set_of(&["1"]);
        let set = TypedSet::build(&names, pg_sys::INT4OID, pg_sys::InvalidOid);
        let twin = TypedSet::build(&names, pg_sys::INT4OID, pg_sys::InvalidOid);
        assert_ne!((set.id, set.secret), (twin.id, twin.secret));
        let (id, secret) = (set.id, set.secret);
        assert!(registered(id, secret).is_some_and(|found| Rc::ptr_eq(&found, &set)));
        assert!(registered(id, secret ^ 1).is_none());
        assert!(registered(id, twin.secret).is_none());
        drop(set);
        assert!(registered(id, secret).is_none());
        assert!(registered(twin.id, twin.secret).is_some());
    }

    #[pg_test]
    fn the_array_of_a_set_has_what_the_type_can_hold() {
        let uuid = "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}";
        // Names stand in the order of their bytes.
        for (type_name, names, plain, with_empty) in [
            ("smallint", &["7", "12", "70000", "", "x"][..], "{12,7}", "{12,7}"),
            ("text", &["b", "a,b", "NULL"], r#"{"NULL","a,b",b}"#, r#"{"","NULL","a,b",b}"#),
            ("varchar", &["b", ""], r#"{"",b}"#, r#"{"","",b}"#),
            ("uuid", &[uuid], uuid, uuid),
            ("text", &[], "{}", r#"{""}"#),
        ] {
            let set = TypedSet::build(&set_of(names), type_named(type_name), pg_sys::DEFAULT_COLLATION_OID);
            let array_type = type_named(&format!("{type_name}[]"));
            assert_eq!(values::text_of(set.array(false), array_type), plain, "{type_name}");
            assert_eq!(values::text_of(set.array(true), array_type), with_empty, "{type_name}");
            // Asked again, it answers the same.
            assert_eq!(values::text_of(set.array(false), array_type), plain, "{type_name}");
        }
    }
}

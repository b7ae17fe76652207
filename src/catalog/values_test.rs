//! In a backend: texts and values of PostgreSQL's types are each other's inverse.

#[pgrx::pg_schema]
mod tests {
    use pgrx::pg_sys;
    use pgrx::prelude::*;

    use crate::catalog::key_column::{run, type_named};
    use crate::catalog::values;

    #[pg_test]
    fn texts_and_values_are_each_others_inverse() {
        for (type_name, text, written) in [
            ("smallint", "-32768", "-32768"),
            ("integer", "0042", "42"),
            ("bigint", "9223372036854775807", "9223372036854775807"),
            ("text", " as it is ", " as it is "),
            ("text", "", ""),
            ("varchar", "longer than any length", "longer than any length"),
            ("bpchar", "ab   ", "ab"),
            ("bpchar", "   ", ""),
            ("name", "relation", "relation"),
            ("uuid", "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("numeric", "1.00", "1.00"),
            ("date", "2024-2-29", "2024-02-29"),
            ("boolean", "yes", "t"),
            ("bytea", "a", r"\x61"),
            ("double precision", "0.1", "0.1"),
        ] {
            let type_oid = type_named(type_name);
            let value = values::value_of(text, type_oid).unwrap();
            assert_eq!(values::text_of(value, type_oid), written, "{type_name} {text:?}");
        }
    }

    #[pg_test]
    fn texts_that_are_no_value() {
        for (type_name, text) in [
            ("smallint", "32768"),
            ("smallint", "-32769"),
            ("integer", "2147483648"),
            ("bigint", "9223372036854775808"),
            ("bigint", ""),
            ("integer", "one"),
            ("text", "with \0 in it"),
        ] {
            assert!(values::value_of(text, type_named(type_name)).is_none(), "{type_name} {text:?}");
        }
    }

    #[pg_test(error = "invalid input syntax for type uuid: \"4711\"")]
    fn a_text_that_is_no_uuid() {
        values::value_of("4711", pg_sys::UUIDOID);
    }

    #[pg_test]
    fn types_that_can_be_empty() {
        run("CREATE DOMAIN code AS varchar(5)");
        for type_name in ["text", "varchar", "bpchar", "name", "code"] {
            assert!(values::can_be_empty(type_named(type_name)), "{type_name}");
        }
        for type_name in ["smallint", "bigint", "uuid", "numeric", "date", "bytea"] {
            assert!(!values::can_be_empty(type_named(type_name)), "{type_name}");
        }
    }
}

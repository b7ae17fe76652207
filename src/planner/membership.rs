//! The test of rows against a set that is too large to be a list of constants.
//!
//! `docperm._is_permitted(value, set, secret)` looks the value up in a hash set that the backend holds. The set is named
//! by its number in this backend and by a secret that only plans made for the set's user contain, so that nobody can look
//! into somebody else's set by trying numbers. Parallel workers find a copy by what [`parallel`](super::parallel) tells them.

use std::rc::Rc;

use pgrx::{PgList, pg_sys};

use super::{nodes, parallel, stamp};
use crate::catalog::flat_set::FlatSet;
use crate::catalog::typed_set::{self, TypedSet};
use crate::catalog::values::Equality;
use crate::entry_point::entry_point;
use crate::fault::{Fault, SqlState};

/// The expression that tests `operand`, which has the type of the set.
///
/// # Safety
/// `glob` is that of the planner at work.
pub unsafe fn test(
    glob: *mut pg_sys::PlannerGlobal,
    operand: *mut pg_sys::Node,
    set: &Rc<TypedSet>,
) -> *mut pg_sys::Node {
    // SAFETY: as demanded of the caller; the function is the one that sql/ declares with these argument types.
    unsafe {
        if !set.is_shareable() {
            // Workers could not be given the set: this statement has none.
            (*glob).parallelModeOK = false;
        }
        stamp::mark_tested(glob, set.id);
        let mut arguments = PgList::<pg_sys::Node>::new();
        arguments.push(operand);
        arguments.push(bigint(set.id.into()));
        arguments.push(bigint(set.secret));
        nodes::call(c"_is_permitted", &mut [pg_sys::ANYOID, pg_sys::INT8OID, pg_sys::INT8OID], arguments)
    }
}

unsafe fn bigint(word: u64) -> *mut pg_sys::Node {
    // SAFETY: a constant of a type that is passed by value.
    unsafe {
        pg_sys::makeConst(
            pg_sys::INT8OID,
            -1,
            pg_sys::InvalidOid,
            8,
            pg_sys::Datum::from(word as i64),
            false,
            true,
        )
        .cast()
    }
}

/// The set of one call in one query.
enum Looked {
    Own(Rc<TypedSet>),
    Shared { words: *const [u64], secret: u64, type_oid: pg_sys::Oid },
}

impl Looked {
    #[inline]
    fn contains(&self, datum: pg_sys::Datum) -> bool {
        match self {
            Looked::Own(set) => set.contains(datum),
            Looked::Shared { words, secret, type_oid } => {
                // SAFETY: the worker keeps the segment mapped until it ends.
                let set = FlatSet::view(unsafe { &**words }, *secret);
                set.is_some_and(|set| typed_set::flat_contains(set, datum, *type_oid))
            }
        }
    }
}

entry_point! {
    /// `docperm._is_permitted("any", bigint, bigint) returns boolean`, strict: whether the value is in the set.
    fn docperm_is_permitted / pg_finfo_docperm_is_permitted (fcinfo) {
        // SAFETY: declared strict with these three arguments. The set found at the first call is kept in the memory of
        // the call site, and let go of with it.
        unsafe {
            let info = (*fcinfo).flinfo;
            if (*info).fn_extra.is_null() {
                let looked = Box::new(look_up(
                    pg_sys::get_fn_expr_argtype(info, 0),
                    pgrx::pg_getarg_datum_raw(fcinfo, 1).value() as u64,
                    pgrx::pg_getarg_datum_raw(fcinfo, 2).value() as u64,
                ));
                (*info).fn_extra = pgrx::PgMemoryContexts::For((*info).fn_mcxt).leak_and_drop_on_delete(*looked).cast();
            }
            let looked = &*(*info).fn_extra.cast::<Looked>();
            pg_sys::Datum::from(looked.contains(pgrx::pg_getarg_datum_raw(fcinfo, 0)))
        }
    }
}

fn look_up(argument_type: pg_sys::Oid, id: u64, secret: u64) -> Looked {
    // What is compared is known without a look into the catalogs for the types that names mostly have.
    let type_oid = match argument_type {
        pg_sys::TEXTOID | pg_sys::INT4OID | pg_sys::INT8OID => argument_type,
        other => Equality::of_type(other).operand,
    };
    // SAFETY: a plain variable of the backend.
    let is_worker = unsafe { pg_sys::ParallelWorkerNumber } >= 0;
    let found =
        if is_worker { of_leader(id as u32, secret, type_oid) } else { own(id as u32, secret, type_oid) };
    found.unwrap_or_else(|| {
        let message = "permissions have changed since this query was planned";
        Fault::new(SqlState::ERRCODE_T_R_SERIALIZATION_FAILURE, message).hint("Run it again.").raise()
    })
}

fn own(id: u32, secret: u64, type_oid: pg_sys::Oid) -> Option<Looked> {
    typed_set::registered(id, secret).filter(|set| set.type_oid == type_oid).map(Looked::Own)
}

fn of_leader(id: u32, secret: u64, type_oid: pg_sys::Oid) -> Option<Looked> {
    let words = parallel::words_of_leader(id)?;
    // SAFETY: mapped until the worker ends.
    let set = FlatSet::view(unsafe { &*words }, secret)?;
    let is_integer = matches!(type_oid, pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID);
    let is_text = type_oid == pg_sys::TEXTOID;
    let fits = if set.holds_integers() { is_integer } else { is_text };
    fits.then_some(Looked::Shared { words, secret, type_oid })
}

entry_point! {
    /// `docperm._is_permitted_support(internal)`: how many rows pass the test.
    fn docperm_is_permitted_support / pg_finfo_docperm_is_permitted_support (fcinfo) {
        // SAFETY: the planner passes a node, whose tag tells what it is.
        unsafe {
            let request = pgrx::pg_getarg_datum_raw(fcinfo, 0).cast_mut_ptr::<pg_sys::Node>();
            if (*request).type_ != pg_sys::NodeTag::T_SupportRequestSelectivity {
                return pg_sys::Datum::from(0);
            }
            let request = request.cast::<pg_sys::SupportRequestSelectivity>();
            match selectivity(&*request) {
                Some(selectivity) => {
                    (*request).selectivity = selectivity;
                    pg_sys::Datum::from(request)
                }
                None => pg_sys::Datum::from(0),
            }
        }
    }
}

/// As many of the column's distinct values as are in the set, each with its share of the rows.
unsafe fn selectivity(request: &pg_sys::SupportRequestSelectivity) -> Option<f64> {
    // SAFETY: the arguments of the call that is being estimated; what examine_variable holds is let go of.
    unsafe {
        let arguments = PgList::<pg_sys::Node>::from_pg(request.args);
        let (value, set, secret) = (arguments.get_ptr(0)?, arguments.get_ptr(1)?, arguments.get_ptr(2)?);
        if (*set).type_ != pg_sys::NodeTag::T_Const || (*secret).type_ != pg_sys::NodeTag::T_Const {
            return None;
        }
        let word = |node: *mut pg_sys::Node| (*node.cast::<pg_sys::Const>()).constvalue.value() as u64;
        let set = typed_set::registered(word(set) as u32, word(secret))?;
        let mut variable = pg_sys::VariableStatData::default();
        pg_sys::examine_variable(request.root, value, request.varRelid, &mut variable);
        let mut is_default = false;
        let distinct = pg_sys::get_variable_numdistinct(&mut variable, &mut is_default);
        if !variable.statsTuple.is_null()
            && let Some(free) = variable.freefunc
        {
            free(variable.statsTuple);
        }
        Some((set.count() as f64 / distinct.max(1.0)).clamp(0.0, 1.0))
    }
}

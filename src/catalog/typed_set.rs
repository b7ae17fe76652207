//! A set of permitted document names as values of the column that holds them.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use pgrx::pg_sys;

use super::flat_set::{self, FlatSet};
use super::memory::OwnedContext;
use super::shared_set::SharedSet;
use super::values::{self, Equality};
use crate::fault::{Fault, SqlState};
use crate::rules::ValueSet;

/// The set, in the type and collation of one column.
pub struct TypedSet {
    /// A number of its own in this backend.
    pub id: u32,
    /// Known only to plans that were given the set.
    pub secret: u64,
    /// The column's type, below domains.
    pub type_oid: pg_sys::Oid,
    members: Members,
    names: Rc<ValueSet>,
    array: OnceCell<OwnedArray>,
}

enum Members {
    /// Integers, or values that are equal when their bytes are.
    Flat(Box<[u64]>),
    /// Values of any other type, by its own hash and equality functions.
    Generic(Generic),
}

impl TypedSet {
    /// Builds it and enters it where plans find it by its number.
    pub fn build(names: &Rc<ValueSet>, type_oid: pg_sys::Oid, collation: pg_sys::Oid) -> Rc<Self> {
        let type_oid = values::base_type(type_oid);
        let secret = random_word();
        let members = match type_oid {
            pg_sys::INT2OID | pg_sys::INT4OID | pg_sys::INT8OID => {
                let integers: Vec<i64> = names.iter().filter_map(|name| integer(name, type_oid)).collect();
                Members::Flat(flat_set::integers(&integers, secret))
            }
            pg_sys::TEXTOID | pg_sys::VARCHAROID if values::is_deterministic(collation) => {
                let texts: Vec<&[u8]> = names.iter().map(str::as_bytes).collect();
                Members::Flat(flat_set::bytes(texts.into_iter(), secret))
            }
            _ => Members::Generic(Generic::build(names, type_oid, collation)),
        };
        let id = NEXT_ID.with(|next| next.replace(next.get().wrapping_add(1)));
        let set =
            Rc::new(TypedSet { id, secret, type_oid, members, names: names.clone(), array: OnceCell::new() });
        REGISTRY.with_borrow_mut(|registry| {
            registry.retain(|_, known| known.strong_count() > 0);
            registry.insert(id, Rc::downgrade(&set))
        });
        set
    }

    /// How many names it was built from.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Nobody but the set itself holds the names any more.
    pub fn is_orphaned(&self) -> bool {
        Rc::strong_count(&self.names) == 1
    }

    /// Whether a value of the set's type is in it.
    pub fn contains(&self, datum: pg_sys::Datum) -> bool {
        match &self.members {
            Members::Generic(generic) => generic.contains(datum),
            Members::Flat(words) => {
                let set = FlatSet::view(words, self.secret).expect("built with this secret");
                flat_contains(set, datum, self.type_oid)
            }
        }
    }

    /// The values as a PostgreSQL array of the set's type, with the empty string if `or_empty`; it lives as long as the set.
    pub fn array(&self, or_empty: bool) -> pg_sys::Datum {
        let array = self.array.get_or_init(|| OwnedArray::build(&self.names, self.type_oid));
        if or_empty { array.with_empty } else { array.plain }
    }

    /// Parallel workers can be given the set.
    pub fn is_shareable(&self) -> bool {
        matches!(self.members, Members::Flat(_))
    }

    /// A copy in shared memory, if the server has room for it.
    pub fn share(&self) -> Option<SharedSet> {
        let Members::Flat(words) = &self.members else { return None };
        SharedSet::create(words)
    }
}

/// Whether a value is in a flat set. The caller has made sure that the set was built for the value's type.
#[inline]
pub fn flat_contains(set: FlatSet, datum: pg_sys::Datum, type_oid: pg_sys::Oid) -> bool {
    match type_oid {
        pg_sys::INT2OID => set.contains_integer((datum.value() as i16).into()),
        pg_sys::INT4OID => set.contains_integer((datum.value() as i32).into()),
        pg_sys::INT8OID => set.contains_integer(datum.value() as i64),
        // SAFETY: every other type with a flat set is text or varchar. Names are seldom compressed or stored elsewhere,
        // and this is done for every row: a call into PostgreSQL, with its net for errors, only for those that are.
        _ => unsafe {
            let value: *mut pg_sys::varlena = datum.cast_mut_ptr();
            if pgrx::varlena::varatt_is_4b_u(value)
                || pgrx::varlena::varatt_is_1b(value) && !pgrx::varlena::varatt_is_1b_e(value)
            {
                return set.contains_bytes(pgrx::varlena::varlena_to_byte_slice(value));
            }
            let plain = pg_sys::pg_detoast_datum_packed(value);
            let found = set.contains_bytes(pgrx::varlena::varlena_to_byte_slice(plain));
            pg_sys::pfree(plain.cast());
            found
        },
    }
}

thread_local! {
    static NEXT_ID: Cell<u32> = const { Cell::new(1) };
    static REGISTRY: RefCell<HashMap<u32, Weak<TypedSet>>> = RefCell::default();
}

/// The set of that number, for whoever knows its secret.
pub fn registered(id: u32, secret: u64) -> Option<Rc<TypedSet>> {
    let set = REGISTRY.with_borrow(|registry| registry.get(&id).and_then(Weak::upgrade))?;
    (set.secret == secret).then_some(set)
}

fn integer(name: &str, type_oid: pg_sys::Oid) -> Option<i64> {
    match type_oid {
        pg_sys::INT2OID => name.parse::<i16>().ok().map(i64::from),
        pg_sys::INT4OID => name.parse::<i32>().ok().map(i64::from),
        _ => name.parse::<i64>().ok(),
    }
}

fn random_word() -> u64 {
    let mut word = 0u64;
    // SAFETY: fills the eight bytes of `word`.
    let filled = unsafe { pg_sys::pg_strong_random((&raw mut word).cast(), size_of::<u64>()) };
    if !filled {
        Fault::new(SqlState::ERRCODE_INTERNAL_ERROR, "could not generate random numbers").raise();
    }
    word
}

struct OwnedArray {
    plain: pg_sys::Datum,
    with_empty: pg_sys::Datum,
    _memory: OwnedContext,
}

impl OwnedArray {
    fn build(names: &ValueSet, type_oid: pg_sys::Oid) -> Self {
        let memory = OwnedContext::create();
        let (plain, with_empty) = memory.enter(|| {
            let mut datums = datums(names, type_oid);
            let plain = construct(&mut datums, type_oid);
            if !values::can_be_empty(type_oid) {
                return (plain, plain);
            }
            // Where it is in order, for a scan of an index begins with sorting the values, which costs nothing if they are
            // in order.
            datums.splice(0..0, values::value_of("", type_oid));
            (plain, construct(&mut datums, type_oid))
        });
        OwnedArray { plain, with_empty, _memory: memory }
    }
}

fn datums(names: &ValueSet, type_oid: pg_sys::Oid) -> Vec<pg_sys::Datum> {
    names.iter().filter_map(|name| values::value_of(name, type_oid)).collect()
}

fn construct(datums: &mut [pg_sys::Datum], type_oid: pg_sys::Oid) -> pg_sys::Datum {
    let (mut len, mut by_value, mut align) = (0, false, 0);
    // SAFETY: the datums are of the type, whose properties come from the syscache.
    unsafe {
        pg_sys::get_typlenbyvalalign(type_oid, &mut len, &mut by_value, &mut align);
        pg_sys::construct_array(datums.as_mut_ptr(), datums.len() as _, type_oid, len.into(), by_value, align)
            .into()
    }
}

struct Generic {
    buckets: HashMap<u32, Vec<pg_sys::Datum>>,
    hash: Option<Box<pg_sys::FmgrInfo>>,
    equal: Box<pg_sys::FmgrInfo>,
    collation: pg_sys::Oid,
    _memory: OwnedContext,
}

impl Generic {
    fn build(names: &ValueSet, type_oid: pg_sys::Oid, collation: pg_sys::Oid) -> Self {
        let memory = OwnedContext::create();
        let equality = Equality::of_type(type_oid);
        let function = |oid| {
            let mut info = Box::<pg_sys::FmgrInfo>::default();
            // SAFETY: a valid function; what it caches lives in the set's memory.
            unsafe { pg_sys::fmgr_info_cxt(oid, &mut *info, memory.as_raw()) };
            info
        };
        let hash = (equality.hash != pg_sys::InvalidOid).then(|| function(equality.hash));
        let equal = function(equality.function);
        let datums = memory.enter(|| datums(names, type_oid));
        let mut set = Generic { buckets: HashMap::new(), hash, equal, collation, _memory: memory };
        for datum in datums {
            let bucket = set.bucket(datum);
            set.buckets.entry(bucket).or_default().push(datum);
        }
        set
    }

    fn contains(&self, datum: pg_sys::Datum) -> bool {
        let Some(candidates) = self.buckets.get(&self.bucket(datum)) else { return false };
        candidates.iter().any(|candidate| {
            // SAFETY: the equality function of the type that both values have.
            let equal = unsafe {
                pg_sys::FunctionCall2Coll(
                    (&raw const *self.equal).cast_mut(),
                    self.collation,
                    *candidate,
                    datum,
                )
            };
            equal.value() != 0
        })
    }

    /// A type that cannot be hashed has one bucket.
    fn bucket(&self, datum: pg_sys::Datum) -> u32 {
        self.hash.as_ref().map_or(0, |hash| {
            // SAFETY: the hash function of the type that the value has.
            unsafe { pg_sys::FunctionCall1Coll((&raw const **hash).cast_mut(), self.collation, datum) }
                .value() as u32
        })
    }
}

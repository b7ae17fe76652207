//! Reading a table directly: newest snapshot, no privileges, no policies, no plan.
//!
//! Permissions must be read as they are now, also inside a transaction with an older snapshot, by a user who may not see
//! them, in a parallel worker, and in the middle of planning another query. PostgreSQL reads its own catalogs that way.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use pgrx::{FromDatum, pg_sys};

use super::attribute_set;
use super::remembered::Remembered;
use crate::fault::{Fault, SqlState};

/// A snapshot of everything committed when it was taken, and of the transaction's own changes.
pub struct NewestSnapshot(pg_sys::Snapshot);

impl NewestSnapshot {
    /// Takes it.
    pub fn take() -> Self {
        super::invalidation::note_reading();
        // SAFETY: called inside a transaction. `table` has no catalog cache, so the snapshot is taken anew (see
        // GetNonHistoricCatalogSnapshot); registering copies it, so later catalog reads do not change it.
        unsafe {
            let table = table_oid("settings");
            NewestSnapshot(pg_sys::RegisterSnapshot(pg_sys::GetCatalogSnapshot(table)))
        }
    }

    /// As PostgreSQL passes it around.
    pub fn as_raw(&self) -> pg_sys::Snapshot {
        self.0
    }
}

impl Drop for NewestSnapshot {
    fn drop(&mut self) {
        // On an error the transaction's resource owner lets go of it.
        if !std::thread::panicking() {
            // SAFETY: registered by `take` under the same resource owner.
            unsafe { pg_sys::UnregisterSnapshot(self.0) }
        }
    }
}

thread_local! {
    static TABLES: Remembered<String, pg_sys::Oid> = Remembered::default();
    /// By the table and the columns.
    static INDEXES: Remembered<Vec<u32>, pg_sys::Oid> = Remembered::default();
}

/// The extension is installed in this database. Otherwise no policy is its business. DROP EXTENSION leaves the schema.
pub fn is_installed() -> bool {
    find_own(c"settings") != pg_sys::InvalidOid
}

/// The OID of one of docperm's own tables.
pub fn table_oid(name: &str) -> pg_sys::Oid {
    TABLES.with(|tables| tables.get_or(name, || look_up(name)))
}

fn look_up(name: &str) -> pg_sys::Oid {
    let c_name = std::ffi::CString::new(name).expect("table names have no NUL");
    let oid = find_own(&c_name);
    if oid == pg_sys::InvalidOid {
        Fault::new(SqlState::ERRCODE_UNDEFINED_TABLE, format!("table docperm.{name} does not exist"))
            .hint("The extension docperm is not installed in this database, or is being created or dropped.")
            .raise();
    }
    oid
}

fn find_own(name: &std::ffi::CStr) -> pg_sys::Oid {
    // SAFETY: syscache look-ups by name, inside a transaction.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"docperm".as_ptr(), true);
        pg_sys::get_relname_relid(name.as_ptr(), schema)
    }
}

/// A table that is open for reading, with a lock that keeps its definition as it is.
pub struct Table(pg_sys::Relation);

impl Table {
    /// Opens any table, partition or partitioned table; `None` if there is none of that OID.
    pub fn open(oid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a relation that does not exist gives NULL.
        let relation = unsafe { pg_sys::try_relation_open(oid, pg_sys::AccessShareLock as _) };
        (!relation.is_null()).then(|| Table(relation))
    }

    /// As [`open`](Self::open), with a lock under which rows can be locked, held to the end of the transaction.
    pub fn open_to_lock(oid: pg_sys::Oid) -> Option<Self> {
        // SAFETY: a lock on a table, which may turn out not to be there.
        unsafe { pg_sys::LockRelationOid(oid, pg_sys::RowShareLock as _) }
        Self::open(oid)
    }

    /// Opens one of docperm's own tables.
    pub fn own(name: &str) -> Self {
        Self::open(table_oid(name)).expect("the look-up has just found it")
    }

    /// Its OID.
    pub fn oid(&self) -> pg_sys::Oid {
        // SAFETY: open.
        unsafe { (*self.0).rd_id }
    }

    /// As PostgreSQL passes it around, open as long as `self` lives.
    pub fn as_raw(&self) -> pg_sys::Relation {
        self.0
    }

    /// It has, or once had, partitions or inheritors.
    pub fn has_children(&self) -> bool {
        // SAFETY: open.
        unsafe { (*(*self.0).rd_rel).relhassubclass }
    }

    /// Its rows are all in its partitions.
    pub fn is_partitioned(&self) -> bool {
        // SAFETY: open.
        unsafe { (*(*self.0).rd_rel).relkind as u8 == pg_sys::RELKIND_PARTITIONED_TABLE }
    }

    /// It is a partition of another table.
    pub fn is_partition(&self) -> bool {
        // SAFETY: open.
        unsafe { (*(*self.0).rd_rel).relispartition }
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        // SAFETY: open; the catalog's name is NUL-terminated.
        unsafe { std::ffi::CStr::from_ptr((*(*self.0).rd_rel).relname.data.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    }

    /// Its name as a statement writes it, with its schema.
    pub fn qualified_name(&self) -> String {
        // SAFETY: open; the schema exists as long as a table in it.
        unsafe {
            let schema = pg_sys::get_namespace_name((*(*self.0).rd_rel).relnamespace);
            let table = (*(*self.0).rd_rel).relname.data.as_ptr();
            let qualified = pg_sys::quote_qualified_identifier(schema, table);
            std::ffi::CStr::from_ptr(qualified).to_string_lossy().into_owned()
        }
    }

    /// The attribute called `column`.
    pub fn attribute(&self, column: &str) -> Option<&pg_sys::FormData_pg_attribute> {
        attribute_named(self.attributes(), column)
    }

    /// The attribute called `column`; an error that tells whose registration is stale if there is none.
    pub fn registered_attribute(&self, column: &str, doctype: &str) -> &pg_sys::FormData_pg_attribute {
        self.attribute(column).unwrap_or_else(|| {
            Fault::new(
                SqlState::ERRCODE_UNDEFINED_COLUMN,
                format!("column \"{column}\" of table {} does not exist, but doctype {doctype} is registered with it", self.name()),
            )
            .detail("Without it the permissions of the table cannot be told, so the table is closed.")
            .hint("Run docperm.protect() or docperm.set_field() again with the column's present name.")
            .raise()
        })
    }

    /// The columns that are computed from others, each with the numbers of those.
    pub fn generated_columns(&self) -> Vec<(&pg_sys::FormData_pg_attribute, Vec<pg_sys::AttrNumber>)> {
        let generated = self.attributes().iter().filter(|attribute| {
            attribute.attgenerated as u8 == pg_sys::ATTRIBUTE_GENERATED_STORED && !attribute.attisdropped
        });
        // SAFETY: a generated column's expression is kept with the defaults of an open relation's descriptor; it is about the
        // columns of a table that counts as the first.
        generated
            .map(|attribute| unsafe {
                let constraints = (*(*self.0).rd_att).constr;
                let defaults =
                    std::slice::from_raw_parts((*constraints).defval, (*constraints).num_defval as usize);
                let made_of =
                    defaults.iter().filter(|default| default.adnum == attribute.attnum).flat_map(|default| {
                        let expression = pg_sys::stringToNode(default.adbin);
                        attribute_set::numbers(attribute_set::of_expression(expression.cast(), 1))
                    });
                (attribute, made_of.collect())
            })
            .collect()
    }

    /// Its attributes, those that were dropped among them.
    pub fn attributes(&self) -> &[pg_sys::FormData_pg_attribute] {
        // SAFETY: the descriptor of an open relation holds `natts` attributes, one after another, as long as it is open.
        unsafe {
            let descriptor = (*self.0).rd_att;
            (*descriptor).attrs.as_slice((*descriptor).natts as usize)
        }
    }

    /// Calls `visit` with every row that `snapshot` sees, of the table and its partitions.
    pub fn scan(&self, snapshot: &NewestSnapshot, visit: impl FnMut(&RowView)) {
        self.scan_as_of(snapshot.as_raw(), visit);
    }

    /// As [`scan`](Self::scan), with any snapshot.
    pub fn scan_as_of(&self, snapshot: pg_sys::Snapshot, mut visit: impl FnMut(&RowView)) {
        self.each_storage(|table| {
            table.scan_with(pg_sys::InvalidOid, &mut [], snapshot, &mut to_the_end(&mut visit));
        });
    }

    /// As [`scan`](Self::scan), for the rows of one of docperm's own tables that fit all keys; by an index that begins with
    /// their columns in this order, if there is one.
    pub fn scan_where(&self, keys: &[Key], snapshot: &NewestSnapshot, visit: impl FnMut(&RowView)) {
        self.scan_where_as_of(keys, snapshot.as_raw(), visit);
    }

    /// As [`scan_where`](Self::scan_where), with any snapshot.
    pub fn scan_where_as_of(&self, keys: &[Key], snapshot: pg_sys::Snapshot, visit: impl FnMut(&RowView)) {
        self.scan_where_until(keys, snapshot, &mut to_the_end(visit));
    }

    /// Whether one of docperm's own tables has a row that fits all keys.
    pub fn any_where(&self, keys: &[Key], snapshot: &NewestSnapshot) -> bool {
        self.any_as_of(keys, snapshot.as_raw())
    }

    /// As [`any_where`](Self::any_where), and rows count that a transaction has written, or deleted, which has not ended.
    pub fn any_even_uncommitted(&self, keys: &[Key]) -> bool {
        super::invalidation::note_reading();
        let mut snapshot = pg_sys::SnapshotData {
            snapshot_type: pg_sys::SnapshotType::SNAPSHOT_DIRTY,
            ..Default::default()
        };
        self.any_as_of(keys, &mut snapshot)
    }

    fn any_as_of(&self, keys: &[Key], snapshot: pg_sys::Snapshot) -> bool {
        let mut found = false;
        self.scan_where_until(keys, snapshot, &mut |_| {
            found = true;
            ControlFlow::Break(())
        });
        found
    }

    fn scan_where_until(&self, keys: &[Key], snapshot: pg_sys::Snapshot, visit: &mut Visit) {
        let attributes = keys.iter().map(|key| self.registered_attribute(key.column(), "docperm"));
        let attributes: Vec<_> = attributes.collect();
        let mut keys: Vec<_> =
            keys.iter().zip(&attributes).map(|(key, attribute)| key.scan_key(attribute)).collect();
        let columns: Vec<_> = attributes.iter().map(|attribute| attribute.attnum).collect();
        self.scan_with(self.index_beginning_with(&columns), &mut keys, snapshot, visit);
    }

    /// The row of the table or its partitions whose column `column` has the type's value `datum`, if `snapshot` sees one.
    pub fn find(
        &self,
        column: &str,
        datum: pg_sys::Datum,
        snapshot: pg_sys::Snapshot,
        mut found: impl FnMut(&RowView),
    ) {
        self.each_storage(|table| {
            let Some(attribute) = table.attribute(column) else { return };
            let equality = super::values::Equality::of_type(attribute.atttypid);
            // SAFETY: the equality function of the column's own type, with the column's collation.
            let mut key = unsafe {
                let mut key = pg_sys::ScanKeyData::default();
                pg_sys::ScanKeyEntryInitialize(
                    &mut key,
                    0,
                    attribute.attnum,
                    pg_sys::BTEqualStrategyNumber as _,
                    pg_sys::InvalidOid,
                    attribute.attcollation,
                    equality.function,
                    datum,
                );
                [key]
            };
            let index = table.index_beginning_with(&[attribute.attnum]);
            table.scan_with(index, &mut key, snapshot, &mut to_the_end(&mut found));
        });
    }

    /// Wherever its rows are stored, an index begins with this column.
    pub fn is_indexed(&self, column: &str) -> bool {
        let mut is_indexed = true;
        self.each_storage(|table| {
            let attribute = table.attribute(column);
            let index = attribute.map(|attribute| table.index_beginning_with(&[attribute.attnum]));
            is_indexed &= index.is_some_and(|index| index != pg_sys::InvalidOid);
        });
        is_indexed
    }

    /// Calls `visit` with each table that stores rows of this one: itself, or its partitions and inheritors.
    fn each_storage(&self, mut visit: impl FnMut(&Table)) {
        if !self.has_children() {
            return visit(self);
        }
        // SAFETY: returns a list of OIDs, locked, the parent first.
        let oids = unsafe {
            let list = pg_sys::ffi::pg_guard_ffi_boundary(|| {
                find_all_inheritors(self.oid(), pg_sys::AccessShareLock as _, std::ptr::null_mut())
            });
            pgrx::PgList::<pg_sys::Oid>::from_pg(list).iter_oid().collect::<Vec<_>>()
        };
        for oid in oids {
            let Some(table) = Table::open(oid) else { continue };
            // SAFETY: open.
            let kind = unsafe { (*(*table.0).rd_rel).relkind } as u8;
            if kind == pg_sys::RELKIND_RELATION && !table.is_temporary_elsewhere() {
                visit(&table);
            }
        }
    }

    /// A temporary table of another session, which keeps its rows to itself. Queries on a parent table pass it over as well.
    fn is_temporary_elsewhere(&self) -> bool {
        // SAFETY: open.
        unsafe {
            let is_temporary = (*(*self.0).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP;
            is_temporary && !(*self.0).rd_islocaltemp
        }
    }

    fn index_beginning_with(&self, columns: &[pg_sys::AttrNumber]) -> pg_sys::Oid {
        let columns_of_table: Vec<u32> =
            std::iter::once(self.oid().to_u32()).chain(columns.iter().map(|column| *column as u32)).collect();
        INDEXES.with(|indexes| indexes.get_or(&columns_of_table[..], || self.look_for_index(columns)))
    }

    fn look_for_index(&self, columns: &[pg_sys::AttrNumber]) -> pg_sys::Oid {
        // SAFETY: the index list of an open relation; each index is opened and closed under a lock, and has as many keys as
        // it says; a NULL predicate means that the index holds every row.
        unsafe {
            let list = pgrx::PgList::<pg_sys::Oid>::from_pg(pg_sys::RelationGetIndexList(self.0));
            for oid in list.iter_oid() {
                let index = pg_sys::index_open(oid, pg_sys::AccessShareLock as _);
                let form = (*index).rd_index;
                let keys = (*form).indkey.values.as_slice((*form).indnkeyatts as usize);
                let fits = (*(*index).rd_rel).relam == pg_sys::BTREE_AM_OID
                    && (*form).indisvalid
                    && !(*form).indcheckxmin
                    && keys.starts_with(columns)
                    && (0..columns.len()).all(|key| self.orders_as_column(index, key, columns[key]))
                    && pg_sys::heap_attisnull(
                        (*index).rd_indextuple,
                        pg_sys::Anum_pg_index_indpred as _,
                        std::ptr::null_mut(),
                    );
                pg_sys::index_close(index, pg_sys::AccessShareLock as _);
                if fits {
                    return oid;
                }
            }
        }
        pg_sys::InvalidOid
    }

    /// The index has this key in the order that the column's own equality and collation go with. In another order the rows
    /// that are looked for would not be found, and a restriction that is not found restricts nothing.
    unsafe fn orders_as_column(
        &self,
        index: pg_sys::Relation,
        key: usize,
        column: pg_sys::AttrNumber,
    ) -> bool {
        let Some(attribute) = self.attributes().iter().find(|attribute| attribute.attnum == column) else {
            return false;
        };
        // SAFETY: an open btree index with more keys than that; type cache entries live as long as the backend.
        unsafe {
            let flags = pg_sys::TYPECACHE_BTREE_OPFAMILY;
            let entry = pg_sys::lookup_type_cache(super::values::base_type(attribute.atttypid), flags as _);
            *(*index).rd_indcollation.add(key) == attribute.attcollation
                && *(*index).rd_opfamily.add(key) == (*entry).btree_opf
        }
    }

    fn scan_with(
        &self,
        index: pg_sys::Oid,
        keys: &mut [pg_sys::ScanKeyData],
        snapshot: pg_sys::Snapshot,
        visit: &mut Visit,
    ) {
        // SAFETY: the scan is begun and ended here; each tuple is used before the next is fetched. An invalid index OID
        // makes it a sequential scan.
        unsafe {
            let scan = pg_sys::systable_beginscan(
                self.0,
                index,
                index != pg_sys::InvalidOid,
                snapshot,
                keys.len() as _,
                keys.as_mut_ptr(),
            );
            let mut memory = None;
            loop {
                pg_sys::check_for_interrupts!();
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                let memory = memory.get_or_insert_with(super::memory::OwnedContext::create);
                let next = memory.enter(|| visit(&RowView { table: self, tuple }));
                memory.reset();
                if next.is_break() {
                    break;
                }
            }
            pg_sys::systable_endscan(scan);
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        // On an error the transaction's resource owner closes it.
        if !std::thread::panicking() {
            // SAFETY: opened by `open` with the same lock.
            unsafe { pg_sys::relation_close(self.0, pg_sys::AccessShareLock as _) }
        }
    }
}

/// What is done with each row, and whether to go on.
type Visit<'v> = dyn FnMut(&RowView) -> ControlFlow<()> + 'v;

fn to_the_end(mut visit: impl FnMut(&RowView)) -> impl FnMut(&RowView) -> ControlFlow<()> {
    move |row| {
        visit(row);
        ControlFlow::Continue(())
    }
}

/// What a row of one of docperm's own tables must have.
pub enum Key<'k> {
    /// This text in this column.
    Text(&'k str, &'k str),
    /// NULL in this column, of which there is an index.
    Null(&'k str),
}

impl Key<'_> {
    fn column(&self) -> &str {
        match self {
            Key::Text(column, _) | Key::Null(column) => column,
        }
    }

    fn scan_key(&self, attribute: &pg_sys::FormData_pg_attribute) -> pg_sys::ScanKeyData {
        let (flags, strategy, function, value) = match self {
            Key::Text(_, value) => (
                0,
                pg_sys::BTEqualStrategyNumber,
                pg_sys::F_TEXTEQ,
                pgrx::IntoDatum::into_datum(*value).expect("a text is not NULL"),
            ),
            Key::Null(_) => (pg_sys::SK_ISNULL | pg_sys::SK_SEARCHNULL, 0, 0, pg_sys::Datum::from(0)),
        };
        let mut key = pg_sys::ScanKeyData::default();
        // SAFETY: equality of texts on a text column with the collation of the column, which is also that of its index; or
        // a test for NULL, which has no function.
        unsafe {
            pg_sys::ScanKeyEntryInitialize(
                &mut key,
                flags as _,
                attribute.attnum,
                strategy as _,
                pg_sys::InvalidOid,
                attribute.attcollation,
                pg_sys::Oid::from(function),
                value,
            );
        }
        key
    }
}

unsafe extern "C-unwind" {
    // catalog/pg_inherits.h
    fn find_all_inheritors(
        parent: pg_sys::Oid,
        lockmode: pg_sys::LOCKMODE,
        numparents: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::List;
}

/// The one of a table's attributes that is called `column`.
pub fn attribute_named<'a>(
    attributes: &'a [pg_sys::FormData_pg_attribute],
    column: &str,
) -> Option<&'a pg_sys::FormData_pg_attribute> {
    attributes.iter().find(|attribute| !attribute.attisdropped && attribute_name(attribute) == column)
}

/// An attribute's name.
pub fn attribute_name(attribute: &pg_sys::FormData_pg_attribute) -> &str {
    // SAFETY: the catalog's names are NUL-terminated.
    unsafe { std::ffi::CStr::from_ptr(attribute.attname.data.as_ptr()) }.to_str().unwrap_or_default()
}

/// One row of a scan.
pub struct RowView<'t> {
    table: &'t Table,
    tuple: pg_sys::HeapTuple,
}

impl<'t> RowView<'t> {
    /// A row of a table, read in another way.
    pub(super) fn new(table: &'t Table, tuple: pg_sys::HeapTuple) -> Self {
        RowView { table, tuple }
    }

    /// Where it is.
    pub fn place(&self) -> pg_sys::ItemPointerData {
        // SAFETY: the tuple is of a scan that goes on.
        unsafe { (*self.tuple).t_self }
    }

    /// The value of an attribute of the scanned table; `None` for NULL.
    pub fn datum(&self, attribute: &pg_sys::FormData_pg_attribute) -> Option<pg_sys::Datum> {
        let number = NonZeroUsize::new(usize::try_from(attribute.attnum).ok()?)?;
        // SAFETY: the tuple is of the table whose descriptor is passed.
        unsafe { pgrx::htup::heap_getattr_raw(self.tuple, number, (*self.table.0).rd_att) }
    }

    /// A column of one of docperm's own tables, as a Rust value.
    pub fn get<T: FromDatum>(&self, column: &str) -> Option<T> {
        let attribute = self.table.registered_attribute(column, "docperm");
        let datum = self.datum(attribute)?;
        // SAFETY: callers ask for the type that sql/ declares.
        unsafe { T::from_polymorphic_datum(datum, false, attribute.atttypid) }
    }

    /// A column of type text or name.
    pub fn text(&self, column: &str) -> Option<String> {
        let attribute = self.table.registered_attribute(column, "docperm");
        let datum = self.datum(attribute)?;
        Some(super::values::text_of(datum, attribute.atttypid))
    }

    /// Inserted or last changed by this transaction.
    pub fn is_of_this_transaction(&self) -> bool {
        // SAFETY: the tuple is of a scan that goes on.
        unsafe {
            pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::HeapTupleHeaderGetXmin((*self.tuple).t_data))
        }
    }

    /// Inserted or last changed by the transaction's command `since`, or by a later one.
    pub fn is_written_since(&self, since: pg_sys::CommandId) -> bool {
        // SAFETY: as above; of a row of this transaction the command is known.
        self.is_of_this_transaction()
            && unsafe { pg_sys::HeapTupleHeaderGetCmin((*self.tuple).t_data) } >= since
    }

    /// The scanned table.
    pub fn table(&self) -> &Table {
        self.table
    }

    /// Any attribute's text form; `None` for NULL.
    pub fn text_form(&self, attribute: &pg_sys::FormData_pg_attribute) -> Option<String> {
        self.datum(attribute).map(|datum| super::values::text_of(datum, attribute.atttypid))
    }
}

//! Answers of PostgreSQL's catalogs that are looked for again and again, and stay true until there is news.

use std::borrow::Borrow;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;

use super::invalidation;

/// What was found out, since the last message of PostgreSQL's that any table or index may have changed.
pub struct Remembered<K, V> {
    as_of: Cell<u64>,
    known: RefCell<HashMap<K, V>>,
}

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Remembered { as_of: Cell::new(0), known: RefCell::default() }
    }
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    /// What is known about `key`, or is found out now. What finds it out may raise an error, and may hear of news.
    pub fn get_or<Q>(&self, key: &Q, find_out: impl FnOnce() -> V) -> V
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ToOwned<Owned = K> + ?Sized,
    {
        let news = invalidation::news();
        if self.as_of.replace(news) != news {
            self.known.borrow_mut().clear();
        }
        if let Some(known) = self.known.borrow().get(key) {
            return known.clone();
        }
        let found = find_out();
        if invalidation::news() == news {
            self.known.borrow_mut().insert(key.to_owned(), found.clone());
        }
        found
    }
}

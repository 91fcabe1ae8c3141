//! Maps and sets to look things up in, never to go through: their order means nothing, and their hashes are the same in
//! every run.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, DefaultHasher},
};

pub(crate) type Index<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
pub(crate) type Among<K> = HashSet<K, BuildHasherDefault<DefaultHasher>>;

/// Mostly one.
pub(crate) struct Few<T> {
    first: Option<T>,
    others: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, others: Vec::new() }
    }
}

impl<T: Copy> Few<T> {
    pub(crate) fn push(&mut self, thing: T) {
        match self.first {
            None => self.first = Some(thing),
            Some(_) => self.others.push(thing),
        }
    }

    pub(crate) fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.others.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = T> {
        self.first.into_iter().chain(self.others.iter().copied())
    }
}

/// A name as it is compared: without regard to case.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    // To the end in any case: a loop without a way out is done 32 bytes at a time.
    let differs =
        name.bytes().fold(false, |differs, byte| differs | byte.is_ascii_uppercase() | !byte.is_ascii());
    if differs { Cow::Owned(name.to_lowercase()) } else { Cow::Borrowed(name) }
}

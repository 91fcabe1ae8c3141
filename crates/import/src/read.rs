//! Reading the definition of a pool: every field knows its path, and the definition which of its fields were read.

use std::{cell::RefCell, collections::BTreeSet};

use serde_json::Value;

use crate::ImportError;

/// A definition, and what was read of it.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    root: &'a Value,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(root: &'a Value) -> Self {
        Self { root, used: RefCell::default() }
    }

    pub(crate) fn field(&self) -> Field<'_> {
        Field { source: self, value: Some(self.root).filter(|root| !root.is_null()), path: String::new() }
    }

    fn mark(&self, path: &str) {
        self.used.borrow_mut().insert(path.to_owned());
    }
}

/// A place in a definition, whether something stands there or not.
#[derive(Clone, Debug)]
pub(crate) struct Field<'a> {
    source: &'a Source<'a>,
    value: Option<&'a Value>,
    path: String,
}

/// A field of the definition that was not read, with its value as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) path: String,
    pub(crate) value: String,
}

impl<'a> Field<'a> {
    pub(crate) fn is_there(&self) -> bool {
        self.value.is_some()
    }

    /// The path as a person reads it.
    pub(crate) fn path(&self) -> String {
        if self.path.is_empty() { "the definition".to_owned() } else { self.path.clone() }
    }

    /// What stands before the paths of its members.
    pub(crate) fn prefix(&self) -> String {
        self.path.clone()
    }

    fn child(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The member of this name, also where it is spelt `like-this`: az takes both.
    pub(crate) fn member(&self, name: &str) -> Self {
        let members = self.value.and_then(Value::as_object);
        let found = members.and_then(|members| {
            let exact = members.get_key_value(name);
            exact.or_else(|| members.iter().find(|(key, _)| same(key, name)))
        });
        let (key, value) = found.map_or((name, None), |(key, value)| (key.as_str(), Some(value)));
        let value = value.filter(|value| !value.is_null());
        Self { source: self.source, value, path: self.child(key) }
    }

    /// The member of this name, which is an object if it is there.
    pub(crate) fn section(&self, name: &str) -> Result<Self, ImportError> {
        let member = self.member(name);
        member.members()?;
        Ok(member)
    }

    /// All members; none where it is absent.
    pub(crate) fn members(&self) -> Result<Vec<(&'a str, Self)>, ImportError> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => {
                let field = |(key, value): (&'a String, &'a Value)| {
                    let path = self.child(key);
                    (key.as_str(), Self { source: self.source, value: Some(value), path })
                };
                Ok(members.iter().map(field).collect())
            }
            Some(other) => Err(self.unexpected(other, "an object")),
        }
    }

    /// All items; none where it is absent.
    pub(crate) fn items(&self) -> Result<Vec<Self>, ImportError> {
        match self.value {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let field = |(index, value): (usize, &'a Value)| {
                    let path = format!("{}[{index}]", self.path);
                    Self { source: self.source, value: Some(value).filter(|v| !v.is_null()), path }
                };
                Ok(items.iter().enumerate().map(field).collect())
            }
            Some(other) => Err(self.unexpected(other, "a list")),
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        self.value.is_some_and(Value::is_array)
    }

    pub(crate) fn is_number(&self) -> bool {
        self.value.is_some_and(Value::is_number)
    }

    /// Whether a text here or below has the word, in any case.
    pub(crate) fn contains(&self, word: &str) -> bool {
        self.all().iter().any(|leaf| leaf.value.to_ascii_lowercase().contains(word))
    }

    pub(crate) fn text(&self) -> Result<Option<&'a str>, ImportError> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) if !is_expression(text) => {
                self.source.mark(&self.path);
                Ok(Some(text))
            }
            Some(other) => Err(self.unexpected(other, "a text")),
        }
    }

    /// A text that is not empty.
    pub(crate) fn filled(&self) -> Result<Option<&'a str>, ImportError> {
        Ok(self.text()?.filter(|text| !text.trim().is_empty()))
    }

    pub(crate) fn whole(&self, least: u32, most: u32) -> Result<Option<u32>, ImportError> {
        match self.value {
            None => Ok(None),
            Some(Value::Number(number)) => {
                self.source.mark(&self.path);
                let whole = number.as_u64().and_then(|whole| u32::try_from(whole).ok());
                match whole.filter(|whole| (least..=most).contains(whole)) {
                    Some(whole) => Ok(Some(whole)),
                    None => {
                        Err(ImportError::Range { path: self.path(), found: number.to_string(), least, most })
                    }
                }
            }
            Some(other) => Err(self.unexpected(other, "a whole number")),
        }
    }

    pub(crate) fn flag(&self) -> Result<Option<bool>, ImportError> {
        match self.value {
            None => Ok(None),
            Some(Value::Bool(flag)) => {
                self.source.mark(&self.path);
                Ok(Some(*flag))
            }
            Some(other) => Err(self.unexpected(other, "true or false")),
        }
    }

    /// Takes it and all below as read.
    pub(crate) fn skip(&self) {
        for leaf in self.all() {
            self.source.mark(&leaf.path);
        }
    }

    /// What was not read, here and below, in the order of the definition.
    pub(crate) fn rest(&self) -> Vec<Leaf> {
        let used = self.source.used.borrow();
        self.all().into_iter().filter(|leaf| !used.contains(&leaf.path)).collect()
    }

    fn all(&self) -> Vec<Leaf> {
        let mut leaves = Vec::new();
        if let Some(value) = self.value {
            collect(value, &self.path, &mut leaves);
        }
        leaves
    }

    pub(crate) fn missing(&self, mend: &'static str) -> ImportError {
        ImportError::Missing { path: self.path(), mend }
    }

    pub(crate) fn wrong(&self, found: &str, expected: &'static str) -> ImportError {
        ImportError::Type { path: self.path(), found: format!("{found:?}"), expected }
    }

    fn unexpected(&self, value: &Value, expected: &'static str) -> ImportError {
        let path = self.path();
        match value {
            Value::String(text) if is_expression(text) => {
                ImportError::Expression { path, found: text.clone() }
            }
            Value::String(text) => ImportError::Type { path, found: format!("{text:?}"), expected },
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                ImportError::Type { path, found: value.to_string(), expected }
            }
            Value::Array(_) => ImportError::Type { path, found: "a list".to_owned(), expected },
            Value::Object(_) => ImportError::Type { path, found: "an object".to_owned(), expected },
        }
    }
}

fn collect(value: &Value, path: &str, leaves: &mut Vec<Leaf>) {
    match value {
        Value::Null => {}
        Value::Object(members) => {
            for (key, value) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &path, leaves);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                collect(value, &format!("{path}[{index}]"), leaves);
            }
        }
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            leaves.push(Leaf { path: path.to_owned(), value: value.to_string() });
        }
    }
}

/// Azure Resource Manager: `[…]` is evaluated, `[[…]` is a text that begins with a bracket.
fn is_expression(text: &str) -> bool {
    text.starts_with('[') && !text.starts_with("[[") && text.ends_with(']')
}

/// Without regard to case, `-` and `_`.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let letters = |text: &str| {
        text.chars().filter(|c| !matches!(c, '-' | '_')).map(|c| c.to_ascii_lowercase()).collect::<String>()
    };
    letters(one) == letters(other)
}

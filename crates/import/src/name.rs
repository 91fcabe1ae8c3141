//! Names of Kubernetes objects.

use std::collections::BTreeSet;

use crate::ImportError;

/// The longest name of an object of poolkeeper: it has to fit a label value.
const LONGEST: usize = 63;

/// Refuses what no object can be called.
pub(crate) fn check(what: &'static str, name: &str) -> Result<(), ImportError> {
    if !name.is_empty() && name.len() <= LONGEST && slug(name) == name {
        Ok(())
    } else {
        Err(ImportError::Name { what, found: name.to_owned() })
    }
}

/// The nearest name that an object can have; empty where nothing of the text is left.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    cut(slug.trim_matches('-'), LONGEST).to_owned()
}

fn cut(name: &str, length: usize) -> &str {
    name.get(..length).unwrap_or(name).trim_end_matches('-')
}

/// Names of one kind, each given once.
#[derive(Debug, Default)]
pub(crate) struct Names(BTreeSet<String>);

impl Names {
    /// `<base>-<suffix>`, shortened, and with a number where it is taken.
    pub(crate) fn give(&mut self, base: &str, suffix: &str) -> String {
        let suffix = slug(suffix);
        let mut number = 1;
        loop {
            let mut end = if suffix.is_empty() { String::new() } else { format!("-{suffix}") };
            if number > 1 {
                end = format!("{}-{number}", cut(&end, 40));
            }
            let end = cut(&end, 50);
            let name = format!("{}{end}", cut(base, LONGEST - end.len()));
            if self.0.insert(name.clone()) {
                return name;
            }
            number += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_fit() {
        let cases = [
            ("linux-build", "linux-build"),
            ("Linux Build (West)", "linux-build-west"),
            ("ubuntu-22.04", "ubuntu-22-04"),
            ("-x-", "x"),
            ("Łódź", "d"),
            ("日本", ""),
        ];
        for (text, name) in cases {
            assert_eq!(slug(text), name, "{text}");
        }
        assert_eq!(slug(&"ab-".repeat(30)).len(), 62);
        assert!(check("a name", "linux-build").is_ok());
        for bad in ["", "Linux", "a.b", "-a", "a-", &"a".repeat(64)] {
            assert!(check("a name", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_given_once() {
        let mut names = Names::default();
        assert_eq!(names.give("build", "ubuntu-22.04"), "build-ubuntu-22-04");
        assert_eq!(names.give("build", "ubuntu 22.04"), "build-ubuntu-22-04-2");
        assert_eq!(names.give("build", ""), "build");
        assert_eq!(names.give("build", ""), "build-2");
        let (long, suffix) = ("b".repeat(63), "i".repeat(63));
        for _ in 0..12 {
            let name = names.give(&long, &suffix);
            assert!(check("a name", &name).is_ok(), "{name}");
        }
    }
}

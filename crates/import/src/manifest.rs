//! Manifests as YAML with comments.
//!
//! Written by hand, because a serializer has no place for comments between fields.

use std::fmt;

/// Columns after which a comment is wrapped.
const WIDTH: usize = 100;

/// YAML documents for `kubectl apply`; `to_string` has them all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifests {
    documents: Vec<String>,
}

impl Manifests {
    /// Each document alone: first an AgentPool, then its StandbySchedule if it has one, then its ScaleSetBindings.
    #[must_use]
    pub fn documents(&self) -> &[String] {
        &self.documents
    }

    pub(crate) fn push(&mut self, comments: &[String], object: Object<'_>, spec: Map) {
        let mut text = String::new();
        for line in comments {
            write_comment(&mut text, line, 0);
        }
        let metadata = Map::new()
            .text("name", object.name)
            .maybe("namespace", object.namespace.map(|name| Node::Text(name.to_owned())));
        let api = format!("{}/{}", poolkeeper_api::GROUP, poolkeeper_api::VERSION);
        Map::new()
            .text("apiVersion", &api)
            .text("kind", object.kind)
            .map("metadata", metadata)
            .map("spec", spec)
            .write(&mut text, 0);
        self.documents.push(text);
    }
}

impl fmt::Display for Manifests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.documents.join("---\n"))
    }
}

/// What an object is and is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object<'a> {
    pub(crate) kind: &'a str,
    pub(crate) name: &'a str,
    pub(crate) namespace: Option<&'a str>,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Text(String),
    Number(u32),
    Map(Map),
    /// Written as one block for each item.
    Maps(Vec<Map>),
    /// Written on one line.
    Texts(Vec<String>),
}

/// Fields in the order in which they are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map(Vec<Entry>);

#[derive(Clone, Debug)]
enum Entry {
    Comment(String),
    Field(&'static str, Node),
}

impl Map {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A comment before the next field.
    pub(crate) fn comment(mut self, words: impl Into<String>) -> Self {
        self.0.push(Entry::Comment(words.into()));
        self
    }

    pub(crate) fn comments(self, words: impl IntoIterator<Item = String>) -> Self {
        words.into_iter().fold(self, Self::comment)
    }

    pub(crate) fn field(mut self, key: &'static str, node: Node) -> Self {
        self.0.push(Entry::Field(key, node));
        self
    }

    pub(crate) fn text(self, key: &'static str, text: &str) -> Self {
        self.field(key, Node::Text(text.to_owned()))
    }

    pub(crate) fn number(self, key: &'static str, number: u32) -> Self {
        self.field(key, Node::Number(number))
    }

    pub(crate) fn map(self, key: &'static str, map: Self) -> Self {
        self.field(key, Node::Map(map))
    }

    pub(crate) fn maybe(self, key: &'static str, node: Option<Node>) -> Self {
        match node {
            Some(node) => self.field(key, node),
            None => self,
        }
    }

    fn write(&self, text: &mut String, indent: usize) {
        for entry in &self.0 {
            match entry {
                Entry::Comment(words) => write_comment(text, words, indent),
                Entry::Field(key, node) => {
                    text.push_str(&format!("{:indent$}{key}:", ""));
                    node.write(text, indent);
                }
            }
        }
    }
}

impl Node {
    fn write(&self, text: &mut String, indent: usize) {
        match self {
            Self::Text(words) => text.push_str(&format!(" {}\n", scalar(words))),
            Self::Number(number) => text.push_str(&format!(" {number}\n")),
            Self::Texts(texts) => {
                let texts: Vec<String> = texts.iter().map(|words| quoted(words)).collect();
                text.push_str(&format!(" [{}]\n", texts.join(", ")));
            }
            Self::Map(map) => {
                text.push('\n');
                map.write(text, indent + 2);
            }
            Self::Maps(maps) => {
                text.push('\n');
                for map in maps {
                    let mut item = String::new();
                    map.write(&mut item, indent + 2);
                    // The dash takes the place of the first line's indentation, comment or field.
                    let item = item.get(indent + 2..).unwrap_or_default();
                    text.push_str(&format!("{:indent$}- {item}", ""));
                }
            }
        }
    }
}

/// Plain where every reader of YAML takes it for a text, else quoted.
fn scalar(text: &str) -> String {
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '~'));
    let address = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let address = address.is_some_and(|rest| {
        rest.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '~' | ':'))
            && !rest.ends_with(':')
    });
    // YAML 1.1, which tools in Go read, takes these and some of their shorter forms for other than text.
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "inf", "nan"];
    let reserved = word.iter().any(|word| text.eq_ignore_ascii_case(word));
    // Such as 30m; a number in no version of YAML.
    let span = text.strip_suffix(['h', 'm', 's']);
    let span = span.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if (first && plain && !reserved) || address || span { text.to_owned() } else { quoted(text) }
}

/// A text of JSON is one of YAML too, once the line breaks are gone that only YAML knows.
fn quoted(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json.chars()
        .map(|c| match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => format!("\\u{:04x}", u32::from(c)),
            c => c.to_string(),
        })
        .collect()
}

/// On lines of its own. Nothing in `words` can end the comment.
fn write_comment(text: &mut String, words: &str, indent: usize) {
    let clean: String = words
        .chars()
        .map(|c| if c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c) { ' ' } else { c })
        .collect();
    let mut line = String::new();
    for word in clean.split(' ').filter(|word| !word.is_empty()) {
        if !line.is_empty() && indent + 2 + line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&format!("{:indent$}# {line}\n", ""));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&format!("{:indent$}# {line}\n", ""));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stay_texts() {
        let bad = "a\nb: c # d \u{85}\u{2028}\u{7f}\"\\'";
        let texts = [
            "linux",
            "08:00",
            "*",
            "70",
            "true",
            "No",
            "~",
            "null",
            "",
            " x",
            "a: b",
            "1e3",
            "0x1f",
            "- a",
            "x #y",
            "2026-11-22",
            "7.00:00:00",
            "https://dev.azure.com/fabrikam",
            "http://127.0.0.1:8080/fabrikam",
            "{a}",
            "/subscriptions/x",
            "Łódź",
            "@a",
            "%b",
            bad,
        ];
        for text in texts {
            let map =
                Map::new().text("a", text).field("b", Node::Texts(vec![text.to_owned(), "x".to_owned()]));
            let mut yaml = String::new();
            map.write(&mut yaml, 0);
            let read: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
            assert_eq!(read, serde_json::json!({"a": text, "b": [text, "x"]}), "{yaml}");
        }
    }

    #[test]
    fn comments_hold_whatever_they_are_given() {
        let words = format!("{}\nspec:\r  evil: true\u{2028}kind: Secret \u{85} end", "word ".repeat(40));
        let item =
            Map::new().comment(words.clone()).text("name", "a").comment(words.clone()).number("agents", 4);
        let map = Map::new()
            .comment(words)
            .field("items", Node::Maps(vec![item.clone(), item]))
            .map("inner", Map::new().text("zone", "Europe/Kyiv"));
        let mut yaml = String::new();
        map.write(&mut yaml, 0);
        let item = serde_json::json!({"name": "a", "agents": 4});
        let read: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"items": [item, item], "inner": {"zone": "Europe/Kyiv"}}),
            "{yaml}"
        );
        assert!(yaml.lines().all(|line| line.chars().count() <= WIDTH), "{yaml}");
    }
}

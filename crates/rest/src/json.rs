use serde::de::DeserializeOwned;

/// Decodes a body; an error comes with the path of the value that did not fit, such as `value[3].id`.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, (String, serde_json::Error)> {
    serde_json::from_slice(body).map_err(|error| {
        let path = path_at(body, offset(body, error.line(), error.column()));
        (text(&path), error)
    })
}

enum Segment {
    Key(String),
    Index(usize),
}

fn text(path: &[Segment]) -> String {
    let mut text = String::new();
    for segment in path {
        match segment {
            Segment::Key(key) if text.is_empty() => text.push_str(key),
            Segment::Key(key) => text.push_str(&format!(".{key}")),
            Segment::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    if text.is_empty() { "the body".to_owned() } else { text }
}

/// serde_json counts lines and columns from one, columns in bytes.
fn offset(body: &[u8], line: usize, column: usize) -> usize {
    let before: usize =
        body.split_inclusive(|byte| *byte == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    before + column
}

/// The keys and indexes that lead to the byte at `end`. The JSON before it has been accepted by the decoder.
fn path_at(body: &[u8], end: usize) -> Vec<Segment> {
    let mut path = Vec::new();
    // Per open container: whether it is an object, whose next string is a key.
    let mut open: Vec<(bool, bool)> = Vec::new();
    let mut bytes = body.iter().take(end).copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                let mut string = Vec::new();
                while let Some(byte) = bytes.next().filter(|byte| *byte != b'"') {
                    string.push(byte);
                    if byte == b'\\' {
                        string.extend(bytes.next());
                    }
                }
                if let Some((true, expects_key @ true)) = open.last_mut() {
                    *expects_key = false;
                    path.push(Segment::Key(String::from_utf8_lossy(&string).into_owned()));
                }
            }
            b'{' => open.push((true, true)),
            b'[' => {
                open.push((false, false));
                path.push(Segment::Index(0));
            }
            b',' => match (open.last_mut(), path.last_mut()) {
                (Some((true, expects_key)), _) => {
                    *expects_key = true;
                    path.pop();
                }
                (Some((false, _)), Some(Segment::Index(index))) => *index += 1,
                _ => {}
            },
            b']' => {
                open.pop();
                path.pop();
            }
            b'}' => {
                if let Some((_, false)) = open.pop() {
                    path.pop();
                }
            }
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct List {
        value: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Item {
        id: u32,
        inner: Option<Inner>,
        #[serde(default)]
        tags: BTreeMap<String, String>,
    }

    #[derive(Debug, Deserialize)]
    #[allow(dead_code)]
    struct Inner {
        names: Vec<String>,
    }

    #[rstest]
    #[case::wrong_type(r#"{"value":[{"id":1},{"id":"x"}]}"#, "value[1].id")]
    #[case::missing_field(r#"{"value":[{"id":1,"a":[1,{}]},{"inner":null}]}"#, "value[1]")]
    #[case::missing_in_empty(r#"{"value":[{"id":1},{}]}"#, "value[1]")]
    #[case::deep(
        "{\"value\":[\n {\"id\":1,\n \"inner\":{\"names\":[\"a]}\",\"b\\\",\",3]}}]}",
        "value[0].inner.names[2]"
    )]
    #[case::map(r#"{"value":[{"id":1,"tags":{"a":"b","c":1}}]}"#, "value[0].tags.c")]
    #[case::top(r#"{"count":1}"#, "the body")]
    #[case::not_json("nonsense", "the body")]
    #[case::cut(r#"{"value":[{"id":1},{"id":2"#, "value[1].id")]
    fn the_path_leads_to_the_fault(#[case] body: &str, #[case] path: &str) {
        assert_eq!(decode::<List>(body.as_bytes()).unwrap_err().0, path);
    }
}

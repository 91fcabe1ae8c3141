//! Reading a world file.

use super::{SpecError, WorldSpec};

impl WorldSpec {
    /// Reads a world from YAML, and checks it.
    ///
    /// # Errors
    /// The first fault, in one sentence, with the path of its field.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        let options = serde_yaml::options! { with_snippet: false };
        let spec: Self = serde_yaml::from_str_with_options(text, options).map_err(|error| {
            let at =
                error.location().map(|location| (to_usize(location.line()), to_usize(location.column())));
            let rendered = error.to_string();
            // The parser adds its position, which the path and the line say already.
            let message = rendered.lines().next().unwrap_or_default();
            let message = message.split(" at line ").next().unwrap_or(message);
            match at {
                Some((line, column)) => {
                    SpecError::new(path_at(text, line, column), format!("{message} (line {line})"))
                }
                None => SpecError::new("world", message),
            }
        })?;
        spec.check()?;
        Ok(spec)
    }
}

fn to_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The path of the field at a place of a YAML text in block style, from the indentation of the lines above. (The
/// parser knows places only.) Inside a flow collection it is the path of the collection's field.
fn path_at(text: &str, line: usize, column: usize) -> String {
    let mut path: Vec<String> = Vec::new();
    let mut limit = usize::MAX;
    let mut index: Option<(usize, usize)> = None;
    let above: Vec<&str> = text.lines().take(line).collect();
    for (n, written) in above.iter().rev().enumerate() {
        let body = written.trim_start();
        if body.is_empty() || body.starts_with('#') {
            continue;
        }
        let mut indent = written.len() - body.len();
        let dashes = body.chars().take_while(|c| *c == '-' || *c == ' ').count();
        let is_item = body.starts_with("- ");
        let key_indent = if is_item { indent + dashes } else { indent };
        let key = body.get(if is_item { dashes } else { 0 }..).and_then(|rest| rest.split_once(':'));
        // The key on this line, unless the fault lies left of it.
        if key_indent < limit && (n > 0 || key_indent < column) {
            if let Some((key, _)) = key.filter(|(key, _)| !key.contains([' ', '{', '"'])) {
                if let Some((_, count)) = index.take() {
                    path.push(format!("[{count}]"));
                }
                path.push(key.to_owned());
            }
            limit = key_indent;
        }
        if is_item {
            match &mut index {
                Some((at, count)) if *at == indent => *count += 1,
                None if indent < limit => {
                    index = Some((indent, 0));
                    limit = indent + 1;
                }
                Some(_) | None => {}
            }
        }
        indent = indent.min(key_indent);
        if indent == 0 && !is_item {
            break;
        }
    }
    path.reverse();
    let mut joined = String::new();
    for part in path {
        if !joined.is_empty() && !part.starts_with('[') {
            joined.push('.');
        }
        joined.push_str(&part);
    }
    if joined.is_empty() { "world".to_owned() } else { joined }
}

//! The generated files, and how they are compared.

use std::{fs, path::PathBuf};

use xtask::{Generated, generate, repository, stale, write};

#[test]
fn committed_files_are_as_generated() {
    let stale = stale(&repository(), &generate().unwrap()).unwrap();
    assert!(stale.is_empty(), "run `cargo xtask gen`: {stale:?}");
}

#[test]
fn generating_twice_gives_the_same() {
    assert_eq!(generate().unwrap(), generate().unwrap());
}

#[test]
fn definitions_are_read_again_as_they_were() {
    for (file, crd) in generate()
        .unwrap()
        .iter()
        .filter(|file| file.path.starts_with("crds"))
        .zip(poolkeeper_api::crd::all())
    {
        let read: serde_json::Value = serde_yaml::from_str(&file.text).unwrap();
        let crd = serde_json::to_value(crd).unwrap();
        assert!(same(&read, &crd), "{}", file.path.display());
    }
}

/// Equal, where `1` is `1.0`.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(a), Number(b)) => a.as_f64() == b.as_f64(),
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Object(a), Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// What stands between the first and the last line of a template must mean nothing to Helm.
#[test]
fn templates_have_one_condition_and_are_kept() {
    for file in generate().unwrap().iter().filter(|file| file.path.starts_with("charts")) {
        let lines: Vec<_> = file.text.lines().collect();
        assert_eq!(lines[1], "{{- if .Values.crds.install }}");
        assert_eq!(lines[lines.len() - 1], "{{- end }}");
        assert!(lines[2..lines.len() - 1].iter().all(|line| !line.contains("{{")));
        assert!(file.text.contains("    helm.sh/resource-policy: keep\n"));
    }
}

#[test]
fn a_changed_and_a_missing_file_are_named() {
    let root = std::env::temp_dir().join(format!("xtask-stale-{}", std::process::id()));
    let file =
        |name: &str, text: &str| Generated { path: PathBuf::from("out").join(name), text: text.to_owned() };
    write(&root, &[file("same", "1"), file("changed", "1")]).unwrap();
    let found = stale(&root, &[file("same", "1"), file("changed", "2"), file("missing", "1")]).unwrap();
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(found, [PathBuf::from("out/changed"), PathBuf::from("out/missing")]);
}

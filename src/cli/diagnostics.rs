//! `poolkeeper diagnostics`: the journal of a pool.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _};

use super::{
    Error,
    cluster::Cluster,
    operator::failed,
    table::{Column, table},
};
use crate::{
    journal::{self, Row},
    kubernetes,
};

const COLUMNS: [Column; 7] = [
    Column("AT", 20),
    Column("ACTION", 12),
    Column("BINDING", 20),
    Column("COUNT", 5),
    Column("REASON", 28),
    Column("RESULT", 10),
    Column("MESSAGE", usize::MAX),
];

/// The rows of a pool's journal, oldest first; none where nothing was done yet.
pub(super) async fn read(cluster: &Cluster, pool: &str) -> Result<Vec<Row>, Error> {
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let (name, namespace) = (journal::name(pool), &cluster.namespace);
    let map = kubernetes::read(maps.get_opt(&name)).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 403 => Error::Forbidden {
            what: format!("read ConfigMap {name} in namespace {namespace}"),
            message: status.message.clone(),
            mend: "you need `get` on configmaps in that namespace",
        },
        other => failed(format!("read ConfigMap {name} in namespace {namespace}"), &other),
    })?;
    let Some(map) = map else {
        return match cluster.has_pool(pool).await {
            Some(false) => Err(Error::NoPool { namespace: namespace.clone(), name: pool.to_owned() }),
            Some(true) | None => Ok(Vec::new()),
        };
    };
    let owned = map.owner_references().iter().any(|owner| owner.kind == "AgentPool" && owner.name == pool);
    if !owned {
        return Err(Error::NoJournal(format!("{namespace}/{name}")));
    }
    let (rows, unreadable) = journal::rows(&map);
    if unreadable > 0 {
        eprintln!("{unreadable} lines of ConfigMap {namespace}/{name} cannot be read and are left out");
    }
    Ok(rows)
}

/// Those of the last `since`.
pub(super) fn newer(mut rows: Vec<Row>, since: Option<SignedDuration>, now: Timestamp) -> Vec<Row> {
    if let Some(from) = since.and_then(|since| now.checked_sub(since).ok()) {
        rows.retain(|row| row.at >= from);
    }
    rows
}

/// The table.
pub(super) fn text(rows: &[Row], width: Option<usize>) -> String {
    if rows.is_empty() {
        return "nothing was done and nothing went wrong in this time\n".to_owned();
    }
    let cells = |row: &Row| {
        vec![
            row.at.to_string(),
            row.action.clone(),
            row.binding.clone(),
            if row.count == 0 { String::new() } else { row.count.to_string() },
            row.reason.clone(),
            row.result.clone(),
            message(row),
        ]
    };
    table(&COLUMNS, &rows.iter().map(cells).collect::<Vec<_>>(), width)
}

fn message(row: &Row) -> String {
    let error = row.error.as_ref().filter(|error| !row.reason.ends_with(error.as_str()));
    let kind = error.map(|error| format!(" [{error}]")).unwrap_or_default();
    let times = match row.since {
        Some(since) if row.times > 1 => format!(" ({} times since {since})", row.times),
        Some(_) | None => String::new(),
    };
    format!("{}{kind}{times}", row.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Row {
        serde_json::from_str(text).unwrap()
    }

    fn rows() -> Vec<Row> {
        [
            r#"{"at":"2026-11-22T08:30:00Z","action":"Create","binding":"linux-build-d4","count":2,
                "reason":"2 agents wanted","result":"InFlight","message":"create 2 on linux-build-d4"}"#,
            r#"{"at":"2026-11-22T08:31:00Z","action":"Condition","reason":"Holding=SourceMissing","result":"Began",
                "message":"no answer","error":"SourceMissing"}"#,
            r#"{"at":"2026-11-22T08:50:00Z","action":"Create","binding":"linux-build-d4","count":8,
                "reason":"10 agents wanted","result":"Failed","message":"the quota of cores is used up",
                "error":"Quota","times":3,"since":"2026-11-22T08:30:10Z"}"#,
        ]
        .map(row)
        .to_vec()
    }

    #[test]
    fn every_row_has_a_line() {
        let expected = "\
AT                    ACTION     BINDING         COUNT  REASON                 RESULT    MESSAGE
2026-11-22T08:30:00Z  Create     linux-build-d4  2      2 agents wanted        InFlight  create 2 on linux-build-d4
2026-11-22T08:31:00Z  Condition  -               -      Holding=SourceMissing  Began     no answer
2026-11-22T08:50:00Z  Create     linux-build-d4  8      10 agents wanted       Failed    the quota of cores is used up
                                                                                         [Quota] (3 times since
                                                                                         2026-11-22T08:30:10Z)
";
        assert_eq!(text(&rows(), Some(120)), expected);
        assert_eq!(text(&[], None), "nothing was done and nothing went wrong in this time\n");
    }

    #[test]
    fn since_leaves_out_what_is_older() {
        let now = "2026-11-22T09:00:00Z".parse().unwrap();
        let found = |since: Option<i64>| newer(rows(), since.map(SignedDuration::from_mins), now).len();
        assert_eq!(
            (found(None), found(Some(30)), found(Some(29)), found(Some(28)), found(Some(5))),
            (3, 3, 2, 1, 0)
        );
    }
}

//! A world behind its HTTP face, and a plain HTTP client. Time passes only when a test says so (and by the few
//! milliseconds that the test itself takes).

use jiff::{SignedDuration, Timestamp};
use poolkeeper_simulator::{Clock, Simulator, World, WorldSpec};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot};

pub(crate) const SET: &str = "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/agents/providers/Microsoft.Compute/virtualMachineScaleSets/linux-d4";
pub(crate) const POOL: &str = "/fabrikam/_apis/distributedtask/pools/44";
pub(crate) const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
pub(crate) const CLIENT: &str = "00000000-0000-0000-0000-00000000000b";
pub(crate) const SECRET: &str = "simulated-client-secret";
pub(crate) const PAT: &str = "simulated-token";

pub(crate) struct Face {
    pub(crate) simulator: Simulator,
    pub(crate) base: String,
    pub(crate) http: reqwest::Client,
    token: String,
    _stop: oneshot::Sender<()>,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Self { status, headers, body, text }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Face {
    pub(crate) async fn new(spec: WorldSpec) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let world = World::new(spec, 1, Timestamp::now()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let simulator = Simulator::new(world, Clock::REAL);
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async {
            let _ = stopped.await;
        };
        tokio::spawn(simulator.clone().serve(listener, shutdown));
        let mut face =
            Self { simulator, base, http: reqwest::Client::new(), token: String::new(), _stop: stop };
        let answer = face.sign_in(SECRET).await;
        assert_eq!(answer.status, StatusCode::OK.as_u16(), "{}", answer.text);
        face.token = answer.body["access_token"].as_str().unwrap().to_owned();
        face
    }

    pub(crate) async fn sign_in(&self, secret: &str) -> Answer {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", CLIENT),
            ("client_secret", secret),
            ("scope", "https://management.azure.com/.default"),
        ];
        let url = format!("{}/{TENANT}/oauth2/v2.0/token", self.base);
        Answer::of(self.http.post(url).form(&form).send().await.unwrap()).await
    }

    /// A call to Azure; `path` is a path of this face, or an absolute link that it gave.
    pub(crate) fn azure(&self, method: Method, path: &str) -> RequestBuilder {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        let url = if url.contains("api-version=") { url } else { with_version(&url) };
        self.http.request(method, url).bearer_auth(&self.token)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        Answer::of(self.azure(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.azure(Method::POST, path).json(&body).send().await.unwrap()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        Answer::of(self.azure(Method::PATCH, path).json(&body).send().await.unwrap()).await
    }

    pub(crate) fn devops(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).basic_auth("", Some(PAT))
    }

    pub(crate) async fn devops_get(&self, path: &str) -> Answer {
        Answer::of(self.devops(Method::GET, path).send().await.unwrap()).await
    }

    pub(crate) async fn control(&self, method: Method, path: &str, body: Value) -> Answer {
        let call = self.http.request(method.clone(), format!("{}/_sim/{path}", self.base));
        let call = if method == Method::POST { call.json(&body) } else { call };
        Answer::of(call.send().await.unwrap()).await
    }

    pub(crate) async fn queue(&self, count: u32, duration: &str) -> Vec<u64> {
        let body =
            json!({"pool": "linux-build", "duration": duration, "count": count, "demands": ["docker"]});
        let answer = self.control(Method::POST, "jobs", body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        serde_json::from_value(answer.body["requests"].clone()).unwrap()
    }

    /// Lets time pass in the world.
    pub(crate) fn pass(&self, seconds: i64) {
        self.simulator.with_world(|world| {
            let to = world.now() + SignedDuration::from_secs(seconds);
            world.advance(to);
        });
    }
}

fn with_version(url: &str) -> String {
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}api-version=2025-04-01")
}

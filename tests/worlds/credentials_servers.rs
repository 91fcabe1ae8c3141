//! The servers of the credentials' test: a host where no token may go, one that nobody trusts, and one between the
//! operator and Azure whose answers lead elsewhere.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    support::Clouds,
    world::{SECOND_CERTIFICATE, SECOND_KEY},
};

/// A listener that nobody may connect to; how many did.
pub(crate) async fn trap() -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let (address, caught) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&caught);
    tokio::spawn(async move {
        while listener.accept().await.is_ok() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    Ok((address, caught))
}

/// A server whose certificate nobody trusts; how many have gone on all the same.
pub(crate) fn untrusted() -> Result<(SocketAddr, Arc<AtomicUsize>)> {
    let certificate = CertificateDer::from_pem_slice(SECOND_CERTIFICATE.as_bytes())?;
    let key = PrivateKeyDer::from_pem_slice(SECOND_KEY.as_bytes())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let (address, trusting) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&trusting);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let _refused = connection.complete_io(&mut stream);
            count.fetch_add(usize::from(!connection.is_handshaking()), Ordering::SeqCst);
        }
    });
    Ok((address, trusting))
}

/// Azure with answers whose addresses lead elsewhere.
pub(crate) struct Planter {
    http: reqwest::Client,
    simulator: String,
    elsewhere: String,
    pub(crate) links: AtomicUsize,
    pub(crate) operations: AtomicUsize,
}

impl Planter {
    pub(crate) async fn start(simulator: &str, elsewhere: &str) -> Result<(String, Arc<Self>)> {
        let http =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
        let (links, operations) = Default::default();
        let planter = Self {
            http,
            simulator: simulator.to_owned(),
            elsewhere: elsewhere.to_owned(),
            links,
            operations,
        };
        let planter = Arc::new(planter);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(pass).with_state(Arc::clone(&planter));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok((url, planter))
    }

    async fn pass(&self, request: Request) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let (path, url) = (parts.uri.path(), format!("{}{}", self.simulator, parts.uri));
        let call = self.http.request(parts.method.clone(), url).headers(end_to_end(parts.headers.clone()));
        let answer = call.body(to_bytes(body, 1 << 20).await?).send().await?;
        let (status, mut headers) = (answer.status(), end_to_end(answer.headers().clone()));
        let mut body = answer.bytes().await?.to_vec();
        let elsewhere = format!("{}{}", self.elsewhere, parts.uri);
        if path.ends_with("/planted-next/virtualMachines") && status.is_success() {
            let mut page: Value = serde_json::from_slice(&body)?;
            page["nextLink"] = json!(elsewhere);
            body = page.to_string().into_bytes();
            self.links.fetch_add(1, Ordering::SeqCst);
        }
        for name in ["azure-asyncoperation", "location"] {
            if let Some(value) = headers.get_mut(name).filter(|_| path.contains("/planted-operation")) {
                *value = elsewhere.parse()?;
                self.operations.fetch_add(1, Ordering::SeqCst);
            }
        }
        let mut response = Response::new(Body::from(body));
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

async fn pass(State(planter): State<Arc<Planter>>, request: Request) -> Response {
    planter.pass(request).await.unwrap_or_else(|error| {
        println!("a call was not passed on: {error:#}");
        StatusCode::BAD_GATEWAY.into_response()
    })
}

/// Without those that belong to one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for name in [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// Answers of a service become redirects to a host that is not listed.
pub(crate) async fn redirect(clouds: &Clouds, mut fault: Value, elsewhere: SocketAddr) -> Result<()> {
    fault["location"] = json!(format!("http://{elsewhere}/"));
    clouds.fault(&fault).await
}

/// The sum of a metric's samples that have all these parts.
pub(crate) fn sum(metrics: &str, parts: &[&str]) -> u64 {
    let lines = metrics.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

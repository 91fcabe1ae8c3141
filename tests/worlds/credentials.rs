//! The simulated world of the credentials: who signs in how, what its Secret holds, and what is said about it.
//!
//! A site has everything to itself under its own name: AgentPool, binding, scale set, pool in Azure DevOps, Secret.

use serde_json::{Value, json};

/// The namespace whose pools may use the operator's own identity.
pub(crate) const OWN: &str = "own";
/// One whose pools may not.
pub(crate) const VISITORS: &str = "visitors";
/// Of an operator whose tokens end after seconds.
pub(crate) const BRIEF: &str = "brief";
/// Of an operator whose tokens come into their last five minutes, when they are renewed, after seconds.
pub(crate) const RENEWED: &str = "renewed";
/// Of an operator whose Resource Manager has a certificate that nobody trusts.
pub(crate) const UNTRUSTED: &str = "untrusted";

pub(crate) const TENANT: &str = "00000000-0000-0000-0000-00000000000a";
/// A service principal with a client secret and a certificate.
const PRINCIPAL: &str = "00000000-0000-0000-0000-00000000000b";
/// The operator's own identity, of its ServiceAccount and of its VM.
pub(crate) const OPERATOR: &str = "00000000-0000-0000-0000-00000000000c";
/// A service principal whose client secret is rotated.
pub(crate) const ROTATING: &str = "00000000-0000-0000-0000-00000000000d";
/// A service principal that knows the second certificate only.
const CERTIFIED: &str = "00000000-0000-0000-0000-00000000000e";
const SUBSCRIPTION: &str = "00000000-1111-2222-3333-444444444444";

const TOKEN: &str = "pat-3f9ab27c61d0";
const SECRET: &str = "client-secret-77c0e1b5";
const FIRST_TOKEN: &str = "pat-first-84d2c9";
pub(crate) const NEXT_TOKEN: &str = "pat-next-19be60";
const FIRST_SECRET: &str = "client-secret-first-a5510f";
pub(crate) const NEXT_SECRET: &str = "client-secret-next-c3e874";
/// No header can carry it.
const BROKEN_TOKEN: &str = "pat-broken-5d\nb1-second-line-e07";

const FIRST_CERTIFICATE: &str = include_str!("../../crates/simulator/tests/keys/client.crt");
const FIRST_KEY: &str = include_str!("../../crates/simulator/tests/keys/client.key");
const ENDED_CERTIFICATE: &str = include_str!("../../crates/simulator/tests/keys/ended.crt");
pub(crate) const SECOND_KEY: &str = include_str!("../../crates/simulator/tests/keys/other.key");
/// Of [`SECOND_KEY`], for a service principal, and for a server at 127.0.0.1; signed by itself:
/// `openssl req -x509 -key other.key -days 36500 -subj /CN=fabrikam -addext basicConstraints=critical,CA:FALSE -addext
/// subjectAltName=IP:127.0.0.1`.
pub(crate) const SECOND_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIDFzCCAf+gAwIBAgIUcTI3Pg3nRRSrUmopXELRT4AwXxYwDQYJKoZIhvcNAQEL
BQAwEzERMA8GA1UEAwwIZmFicmlrYW0wIBcNMjYxMTIyMTMxNTE5WhgPMjEyNjEw
MjkxMzE1MTlaMBMxETAPBgNVBAMMCGZhYnJpa2FtMIIBIjANBgkqhkiG9w0BAQEF
AAOCAQ8AMIIBCgKCAQEAx1gdqOQhx6DTqHG3to04BlaDzR8Yhnvj3PerumMGFh+I
oMPCkTKvwNUKQFCTkuGnYgF9gZ5G5LU05Jm5aS46iTRAwOdHtD/DQGcjRqHgg0VW
8dyWTSuwwyXi/AmEa0b4CEs4UnwiShLiC/TOIZGN5OvL7S7jS89IsD/ZHmdltjtk
Lvq9tEwFpXFtp0pHfTHCNK+qPveNXWeZY1yAt5Dm8PAgRP2M5nHo8blEOeqm3lRc
osxfI8NrdZQTIbPdF2L4BkpcS8UUWmo52yqjg2KEJahLOHyFKYt/5qX6EzpMf05p
TSU3oihZJKo56KRYo2HA6BmJRXMiVe0z5AB7f4ThVQIDAQABo2EwXzAdBgNVHQ4E
FgQUc05JlY3vyeMVdZOogOFy773jmrswHwYDVR0jBBgwFoAUc05JlY3vyeMVdZOo
gOFy773jmrswDAYDVR0TAQH/BAIwADAPBgNVHREECDAGhwR/AAABMA0GCSqGSIb3
DQEBCwUAA4IBAQBHA1BAGmr3HIocvXsBZMzY1aFfOvtLjMvrhA1/0ovso64LYoIB
S7hU1otC1UX8zn/MaiGefj/fLo38TS6DUCb3ze2EsSln4ECwtpxHkK8N36l9oI7c
UZZAC1G8A1qVkHWxeDoEKmg1yJ+0hA7pwVbx6xprh0kAx5hItTV8JlRSo5ts0ZaT
YKZptIHYfl4Fq3/XYJwEwT6HYPIiVTXRdO40LofSDbtK+93yU4+QN100kV39jlMs
+MdP0I8rU4Sq+gcha3+Tp29z8mfG448Xtzr6RKhHg6k0l9qd+WofB1ChlRZTG65F
YeVhJLnGFHhlrWlxx0rZJdhFFNqBH3eEdrVb
-----END CERTIFICATE-----
";

/// What a Secret holds.
pub(crate) type Keys = Vec<(&'static str, &'static str)>;

/// Where a site's organisation is.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Simulator,
    /// A host that the operator's configuration does not list.
    Elsewhere,
    /// A listed one whose certificate nobody trusts.
    Untrusted,
}

/// A pool with its binding.
pub(crate) struct Site {
    pub(crate) namespace: &'static str,
    pub(crate) name: &'static str,
    organization: &'static str,
    place: Place,
    pool: Value,
    binding: Value,
    keys: Keys,
}

/// What an object is to say: the beginning of a condition, as `type=status/reason`, and parts of its message.
#[derive(Clone)]
pub(crate) struct Wanted {
    pub(crate) kind: &'static str,
    pub(crate) name: &'static str,
    pub(crate) begins: &'static str,
    pub(crate) says: &'static [&'static str],
}

/// The addresses that are known once everything listens.
pub(crate) struct Addresses {
    pub(crate) simulator: String,
    pub(crate) elsewhere: String,
    pub(crate) untrusted: String,
}

fn pat(secret: &str) -> Value {
    json!({"type": "PersonalAccessToken", "secretRef": {"name": secret}})
}

fn principal(client: &str, secret: &str) -> Value {
    json!({"type": "ServicePrincipal", "tenantID": TENANT, "clientID": client, "secretRef": {"name": secret}})
}

fn workload() -> Value {
    json!({"type": "WorkloadIdentity"})
}

fn managed() -> Value {
    json!({"type": "ManagedIdentity"})
}

fn certificate(certificate: &'static str, key: &'static str) -> Keys {
    vec![("tls.crt", certificate), ("tls.key", key)]
}

pub(crate) fn first_pair() -> Keys {
    certificate(FIRST_CERTIFICATE, FIRST_KEY)
}

pub(crate) fn second_pair() -> Keys {
    certificate(SECOND_CERTIFICATE, SECOND_KEY)
}

/// The ways in; one agent of each is to stand by.
pub(crate) const WAYS: [&str; 5] = ["token", "secret", "certificate", "workload", "managed"];

pub(crate) fn sites() -> Vec<Site> {
    let (organization, place) = ("fabrikam", Place::Simulator);
    // The principal with its client secret, as every namespace has it.
    let azure = || principal(PRINCIPAL, "azure");
    let site = |namespace, name, pool, binding, keys| Site {
        namespace,
        name,
        organization,
        place,
        pool,
        binding,
        keys,
    };
    let plain = |name, pool: Value, binding: Value| site(OWN, name, pool, binding, vec![]);
    // One Secret for both clouds.
    let both = |name, client, keys| site(OWN, name, principal(client, name), principal(client, name), keys);
    let bad = |name, keys| both(name, PRINCIPAL, keys);
    let elsewhere = |site| Site { place: Place::Elsewhere, ..site };
    vec![
        site(OWN, "token", pat("token"), azure(), vec![("token", TOKEN)]),
        both("secret", PRINCIPAL, vec![("clientSecret", SECRET)]),
        both("certificate", PRINCIPAL, first_pair()),
        plain("workload", workload(), workload()),
        plain("managed", managed(), managed()),
        // Not allowed.
        site(VISITORS, "visitor-workload", workload(), workload(), vec![]),
        site(VISITORS, "visitor-managed", managed(), managed(), vec![]),
        plain("outside", pat("azure-devops"), workload()),
        elsewhere(plain("elsewhere-workload", workload(), azure())),
        elsewhere(plain("elsewhere-managed", managed(), azure())),
        elsewhere(plain("elsewhere-token", pat("azure-devops"), azure())),
        // Allowed, and led elsewhere by what answers say.
        plain("planted-next", workload(), workload()),
        plain("planted-operation", workload(), workload()),
        plain("redirected-set", workload(), workload()),
        Site { organization: "contoso", ..plain("redirected-organization", workload(), workload()) },
        // Rotated.
        Site {
            organization: "rotating",
            ..site(OWN, "rotated-token", pat("rotated-token"), azure(), vec![("token", FIRST_TOKEN)])
        },
        both("rotated-secret", ROTATING, vec![("clientSecret", FIRST_SECRET)]),
        both("rotated-certificate", CERTIFIED, second_pair()),
        // Secrets with a mistake.
        bad("key-missing", vec![("password", SECRET)]),
        bad("value-empty", vec![("clientSecret", "")]),
        bad("not-pem", certificate("MIIDFzCCAf8-no-pem", FIRST_KEY)),
        bad("half-a-pair", vec![("tls.crt", FIRST_CERTIFICATE)]),
        bad("other-key", certificate(FIRST_CERTIFICATE, SECOND_KEY)),
        bad("ended", certificate(ENDED_CERTIFICATE, FIRST_KEY)),
        site(OWN, "token-broken", pat("token-broken"), azure(), vec![("token", BROKEN_TOKEN)]),
        Site { place: Place::Untrusted, ..plain("untrusted-host", pat("azure-devops"), azure()) },
        site(UNTRUSTED, "untrusted-azure", pat("azure-devops"), azure(), vec![]),
        site(BRIEF, "brief-secret", azure(), azure(), vec![]),
        site(BRIEF, "brief-workload", workload(), workload(), vec![]),
        site(BRIEF, "brief-managed", managed(), managed(), vec![]),
        site(RENEWED, "renewed-secret", azure(), azure(), vec![]),
        site(RENEWED, "renewed-workload", workload(), workload(), vec![]),
        site(RENEWED, "renewed-managed", managed(), managed(), vec![]),
    ]
}

const POOL: &str = "AgentPool";
const BINDING: &str = "ScaleSetBinding";

/// Pool and binding in control.
pub(crate) fn ready(names: &[&'static str]) -> Vec<Wanted> {
    let both = |name: &&'static str| {
        [(POOL, "Ready=True/Managed"), (BINDING, "Ready=True/Bound")].map(|(kind, begins)| Wanted {
            kind,
            name,
            begins,
            says: &[],
        })
    };
    names.iter().flat_map(both).collect()
}

/// The same of pool and binding.
pub(crate) fn twice(name: &'static str, begins: &'static str, says: &'static [&'static str]) -> Vec<Wanted> {
    [POOL, BINDING].map(|kind| Wanted { kind, name, begins, says }).to_vec()
}

pub(crate) fn of_pool(name: &'static str, begins: &'static str, says: &'static [&'static str]) -> Wanted {
    Wanted { kind: POOL, name, begins, says }
}

/// What the sites say that are not allowed to sign in, or are led astray.
pub(crate) fn refused() -> Vec<Wanted> {
    let [host, identity] = ["Stalled=True/HostNotAllowed", "Stalled=True/IdentityNotAllowed"];
    let namespace: &[&str] = &["the operator's own identity", "namespace", "ownIdentity", "secretRef"];
    let set: &[&str] = &["the operator's own identity", "scale set", "ownIdentity", "secretRef"];
    let listed: &[&str] = &["may not get a token", "azureDevOps.hosts"];
    let binding = |name, begins, says| Wanted { kind: BINDING, name, begins, says };
    vec![
        of_pool("visitor-workload", identity, namespace),
        binding("visitor-workload", identity, set),
        of_pool("visitor-managed", identity, namespace),
        binding("visitor-managed", identity, set),
        binding("outside", identity, set),
        of_pool("elsewhere-workload", host, listed),
        of_pool("elsewhere-managed", host, listed),
        of_pool("elsewhere-token", host, listed),
        binding(
            "planted-next",
            "ScaleSetReachable=False/UnexpectedAnswer",
            &["another origin", "nothing was sent"],
        ),
        binding("redirected-set", "ScaleSetReachable=False/UnexpectedAnswer", &["redirect"]),
        of_pool("redirected-organization", "Stalled=True/CredentialsRejected", &["sign-in page"]),
    ]
}

/// What the sites with a mistake in their Secret say.
pub(crate) fn mistaken() -> Vec<Wanted> {
    let [missing, rejected] = ["Stalled=True/SecretNotFound", "Stalled=True/CredentialsRejected"];
    [
        twice("key-missing", missing, &["Secret key-missing has no key clientSecret", "add it"]),
        twice("value-empty", missing, &["Secret value-empty", "clientSecret"]),
        twice("not-pem", rejected, &["the certificate is not PEM", "BEGIN CERTIFICATE"]),
        twice("half-a-pair", missing, &["Secret half-a-pair has no key tls.key", "add it"]),
        twice("other-key", rejected, &["the key is not the one of the certificate", "give the pair"]),
        twice("ended", rejected, &["the certificate expired at 2021-01-01", "put a new one in its place"]),
        vec![of_pool("token-broken", rejected, &["Secret token-broken", "replace it"])],
    ]
    .concat()
}

/// What the Secrets with a mistake hold in the end.
pub(crate) fn mended() -> Vec<(&'static str, Keys)> {
    let pairs = ["not-pem", "half-a-pair", "other-key", "ended"].map(|name| (name, first_pair()));
    let secrets = ["key-missing", "value-empty"].map(|name| (name, vec![("clientSecret", SECRET)]));
    [&pairs[..], &secrets, &[("token-broken", vec![("token", TOKEN)])]].concat()
}

/// Two servers with a certificate that nobody trusts.
pub(crate) fn untrusted() -> Vec<Wanted> {
    let says: &[&str] = &["127.0.0.1", "is not trusted", "SSL_CERT_FILE"];
    let host = of_pool("untrusted-host", "OrganizationReachable=False/Unreachable", says);
    let begins = "ScaleSetReachable=False/Unreachable";
    vec![host, Wanted { kind: BINDING, name: "untrusted-azure", begins, says }]
}

/// A Secret as it is applied.
fn secret(namespace: &str, name: &str, keys: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> =
        keys.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect();
    let metadata = json!({"name": name, "namespace": namespace});
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
}

/// The manifests of the sites of some namespaces, as one list.
pub(crate) fn manifests(namespaces: &[&str], at: &Addresses) -> Value {
    let mut items: Vec<Value> = Vec::new();
    for namespace in namespaces {
        items.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        items.push(secret(namespace, "azure", &[("clientSecret", SECRET)]));
        items.push(secret(namespace, "azure-devops", &[("token", TOKEN)]));
    }
    for site in sites().iter().filter(|site| namespaces.contains(&site.namespace)) {
        let base = match site.place {
            Place::Simulator => &at.simulator,
            Place::Elsewhere => &at.elsewhere,
            Place::Untrusted => &at.untrusted,
        };
        let Site { namespace, name, organization, pool, binding, keys, .. } = site;
        let object = |kind: &str, spec: Value| {
            let metadata = json!({"name": name, "namespace": namespace});
            json!({"apiVersion": "poolkeeper.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
        };
        items.push(object(
            POOL,
            json!({
                "organization": {"url": format!("{base}/{organization}"), "credentials": pool},
                "poolName": name, "maxAgents": 2, "standby": {"agents": 1},
            }),
        ));
        items.push(object(
            BINDING,
            json!({
                "poolRef": {"name": name}, "scaleSet": {"resourceID": resource_id(name)}, "credentials": binding,
                "agentBootstrap": {"type": "External"},
            }),
        ));
        if !keys.is_empty() {
            items.push(secret(namespace, name, keys));
        }
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// The resource group of the one outside begins like that of the others.
fn resource_id(name: &str) -> String {
    let group = if name == "outside" { "agents-prod" } else { "agents" };
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.Compute/virtualMachineScaleSets/{name}"
    )
}

/// What the operator's own identity may serve, as the chart's values.
pub(crate) fn own_identity() -> Value {
    let prefix = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/agents/");
    json!({"namespaces": [OWN, BRIEF, RENEWED, UNTRUSTED], "scaleSetPrefixes": [prefix]})
}

/// The world of the sites of some namespaces, which trusts ServiceAccounts of a cluster. Tokens end after `lifetime`
/// seconds.
pub(crate) fn world(namespaces: &[&str], issuer: &str, lifetime: u32) -> Value {
    let sites: Vec<Site> = sites().into_iter().filter(|site| namespaces.contains(&site.namespace)).collect();
    let timings = json!({"create": "20s", "register": "5s", "reimage": "20s", "delete": "10s"});
    let set = |site: &Site| {
        json!({
            "resourceID": resource_id(site.name), "computerNamePrefix": format!("{}-", site.name), "timings": timings,
            "agents": {"organization": site.organization, "pool": site.name, "run": "Once"},
        })
    };
    let organization = |name: &str, tokens: &[&str]| {
        let pools = (1..).zip(sites.iter().filter(|site| site.organization == name));
        let pools: Vec<Value> = pools.map(|(id, site)| json!({"id": id, "name": site.name})).collect();
        let tokens: Vec<Value> = tokens.iter().map(|token| json!({"value": token})).collect();
        let members = [PRINCIPAL, OPERATOR, ROTATING, CERTIFIED];
        json!({"name": name, "tokens": tokens, "members": members, "pools": pools})
    };
    let client = |id: &str, rest: Value| {
        let mut client = json!({"tenantID": TENANT, "clientID": id, "subscriptions": [SUBSCRIPTION]});
        crate::support::merge(&mut client, &rest);
        client
    };
    let subject = "system:serviceaccount:poolkeeper:poolkeeper";
    json!({
        "tokenLifetime": lifetime,
        "managedIdentities": [OPERATOR],
        "clients": [
            client(PRINCIPAL, json!({"secret": SECRET, "certificates": [FIRST_CERTIFICATE]})),
            client(OPERATOR, json!({"federated": [{"issuer": issuer, "subject": subject}]})),
            client(ROTATING, json!({"secret": FIRST_SECRET})),
            client(CERTIFIED, json!({"certificates": [SECOND_CERTIFICATE]})),
        ],
        "scaleSets": sites.iter().map(set).collect::<Vec<_>>(),
        "organizations":
            [organization("fabrikam", &[TOKEN]), organization("contoso", &[]), organization("rotating", &[FIRST_TOKEN])],
    })
}

/// What nobody may be shown: the values themselves, each line of the keys, and tokens on their way.
pub(crate) fn secrets() -> Vec<&'static str> {
    let lines = |pem: &'static str| pem.lines().filter(|line| line.len() == 64);
    let values = [
        TOKEN,
        SECRET,
        FIRST_TOKEN,
        NEXT_TOKEN,
        FIRST_SECRET,
        NEXT_SECRET,
        "pat-broken-5d",
        "second-line-e07",
    ];
    // The simulator's tokens, the headers that carry tokens, and base 64 of `pat-`, alone and after a colon.
    let marks =
        ["simulated.7", "Bearer ", "Basic ", "cGF0L", "OnBhdC", "client_assertion=", "client_secret="];
    values.into_iter().chain(marks).chain(lines(FIRST_KEY)).chain(lines(SECOND_KEY)).collect()
}

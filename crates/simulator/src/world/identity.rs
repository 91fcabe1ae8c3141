//! Who may call, and what becomes of their secrets.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Kind, World, journal::Parts};
use crate::spec::{ClientSpec, Secret, Secrets};

impl World {
    /// The service principals.
    pub fn clients(&self) -> &[ClientSpec] {
        &self.clients
    }

    /// The clients that the metadata service knows, by client id; the first is the default.
    pub fn managed_identities(&self) -> &[String] {
        &self.managed_identities
    }

    /// Seconds of wall time that a token of Entra is valid.
    pub fn token_lifetime(&self) -> u32 {
        self.token_lifetime
    }

    /// Gives a client a new secret in the place of all that it has; false if there is no such client.
    pub fn rotate_client_secret(&mut self, client_id: &str, secret: Secret) -> bool {
        let found = self.clients.iter_mut().find(|client| client.client_id.eq_ignore_ascii_case(client_id));
        let known = found.is_some();
        if let Some(client) = found {
            client.secret = Secrets::from(secret);
        }
        known
    }

    /// Gives an organisation, by its index in the world file, a new personal access token in the place of all that it
    /// has. It may see what the first of them might.
    pub fn rotate_token(&mut self, organization: usize, token: Secret) {
        if let Some(found) = self.organizations.get_mut(organization) {
            let tokens = &mut found.spec.tokens;
            let forbidden_pools = tokens.drain(..).next().map(|old| old.forbidden_pools).unwrap_or_default();
            tokens.push(crate::spec::TokenSpec { value: token, forbidden_pools, expires: None });
        }
    }

    /// Writes down that something is wrong with the answers, though not with the world.
    pub(crate) fn note_fault(&mut self, what: &str, until: Option<Timestamp>) {
        let detail = match until {
            Some(until) => format!("{what} until {until}"),
            None => what.to_owned(),
        };
        let parts = Parts { detail: Some(Arc::from(detail)), ..Parts::default() };
        self.journal.write(self.now, Kind::FaultChanged, &Arc::from("answers"), parts);
    }
}

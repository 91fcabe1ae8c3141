//! CEL rules that stand at more than one field, or are too long to stand beside one.

use kube::core::{Message, Rule};

/// A GUID with dashes, in any case.
pub(crate) const GUID: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";

/// Whole hours, minutes and seconds.
const WRITTEN_IN_UNITS: &str = "self.matches('^([0-9]+(h|m|s))+$')";

fn rule(rule: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule::new(rule).message(Message::Message(message.into()))
}

/// On every kind: the name has to fit a label value.
pub(crate) fn name_fits_a_label() -> Rule {
    rule("size(self.metadata.name) <= 63", "metadata.name must be at most 63 characters")
        .field_path(".metadata.name")
}

/// `self == oldSelf`; `object` is what a person deletes instead: `pool` or `binding`.
pub(crate) fn immutable(field: &str, object: &str) -> Rule {
    rule("self == oldSelf", format!("{field} cannot be changed; delete this {object} and create another"))
}

pub(crate) fn organization_url() -> Rule {
    rule(
        "self.matches('^(https://[A-Za-z0-9.-]+(:[0-9]+)?|http://(localhost|127[.]0[.]0[.]1)(:[0-9]+)?)(/[A-Za-z0-9._~%-]+)*/?$')",
        "url must be the organization's https address, such as https://dev.azure.com/fabrikam (http only for localhost), without user, query or fragment",
    )
}

pub(crate) fn secret_belongs_to_type() -> Rule {
    rule(
        "has(self.secretRef) == (self.type in ['ServicePrincipal', 'PersonalAccessToken'])",
        "secretRef belongs to type ServicePrincipal or PersonalAccessToken, which need it; set type, or remove secretRef",
    )
}

pub(crate) fn service_principal_is_named() -> Rule {
    rule(
        "self.type != 'ServicePrincipal' || (has(self.tenantID) && has(self.clientID))",
        "type ServicePrincipal needs tenantID and clientID",
    )
}

pub(crate) fn duration(field: &str, min: &str, max: &str) -> Rule {
    rule(
        format!(
            "{WRITTEN_IN_UNITS} && duration(self) >= duration('{min}') && duration(self) <= duration('{max}')"
        ),
        format!("{field} must be a duration from {min} to {max}, written like 30m or 1h30m"),
    )
}

pub(crate) fn lead_time() -> Rule {
    rule(
        format!("self == 'Measured' || ({WRITTEN_IN_UNITS} && duration(self) <= duration('4h'))"),
        "leadTime must be Measured or a duration from 0s to 4h",
    )
}

/// `dd.hh:mm:ss` up to seven days, as CEL source.
const DAYS_AND_TIME: &str =
    r"self.matches('^(0?7\\.00:00:00|(0?[0-6]\\.)?([01]?[0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])$')";

pub(crate) fn max_agent_lifetime() -> Rule {
    // The last match keeps out less than a minute.
    rule(
        format!(
            r"{WRITTEN_IN_UNITS} ? duration(self) >= duration('1m') && duration(self) <= duration('168h') : {DAYS_AND_TIME} && !self.matches('^(0?0\\.)?0?0:00:[0-5][0-9]$')"
        ),
        "maxAgentLifetime must be from 1m to 7 days, written like 30m, 168h or 7.00:00:00",
    )
}

pub(crate) fn grace_period() -> Rule {
    rule(
        format!(
            "{WRITTEN_IN_UNITS} ? duration(self) >= duration('0s') && duration(self) <= duration('168h') : {DAYS_AND_TIME}"
        ),
        "gracePeriod must be from 0s to 7 days, written like 30m, 168h or 7.00:00:00",
    )
}

pub(crate) fn standby_shares_add_up() -> Rule {
    rule(
        "self.all(i, i.standbyPercent == dyn('*')) || (self.all(i, i.standbyPercent != dyn('*')) && self.map(i, int(i.standbyPercent)).sum() == 100)",
        "standbyPercent must be '*' for every image, or add up to 100 over all images",
    )
}

pub(crate) fn image_names_are_unique() -> Rule {
    rule(
        "self.all(a, self.exists_one(b, ([b.name] + b.aliases).exists(x, ([a.name] + a.aliases).exists(y, x.lowerAscii() == y.lowerAscii()))))",
        "two images share a name or alias (case does not count); every name must lead to one image",
    )
}

pub(crate) fn standby_percent() -> Rule {
    rule(
        "type(self) == int ? self >= 0 && self <= 100 : self == '*' || self.matches('^(100|[1-9]?[0-9])$')",
        "standbyPercent must be '*' (equal shares) or a whole number from 0 to 100",
    )
}

pub(crate) fn max_unavailable() -> Rule {
    rule(
        "type(self) == int ? self >= 1 && self <= 10000 : self.matches('^([1-9][0-9]?|100)%$')",
        "maxUnavailable must be a number of agents (1 or more) or a percentage from 1% to 100%",
    )
}

pub(crate) fn time_zone() -> Rule {
    rule(
        "self.matches('^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$') && self != 'Local' && timestamp('2000-01-01T00:00:00Z').getFullYear(self) > 0",
        "timeZone must be an IANA name such as Europe/Stockholm or UTC; a Windows name such as 'W. Europe Standard Time' is not one",
    )
}

pub(crate) fn start() -> Rule {
    rule(
        "self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')",
        r#"start must be a quoted time of day from "00:00" to "23:59""#,
    )
}

pub(crate) fn end() -> Rule {
    rule(
        "self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')",
        r#"end must be a quoted time of day from "00:00" to "24:00""#,
    )
}

/// A union member is there exactly if the discriminator names it.
pub(crate) fn manual_member(type_: &str, member: &str) -> Rule {
    rule(
        format!("has(self.{member}) == (self.type == '{type_}')"),
        format!("type {type_} needs {member}, and only it; set type to what you filled in"),
    )
}

/// Minute of the week at which each day begins, as a CEL map.
const DAYS: &str = "{'Monday': 0, 'Tuesday': 1440, 'Wednesday': 2880, 'Thursday': 4320, 'Friday': 5760, 'Saturday': 7200, 'Sunday': 8640}";

/// For every ordered pair of one zone: b must not start inside a. A period until the next one has length 1, so that
/// only an equal start collides; `+ 10079 … + 1` makes Monday 00:00 to Sunday 24:00 a full week, not an empty one.
pub(crate) fn periods_do_not_overlap() -> Rule {
    let start_of = |p: &str| {
        format!("{DAYS}[{p}.startDay] + int({p}.start.substring(0, 2)) * 60 + int({p}.start.substring(3))")
    };
    let (start_a, start_b) = (start_of("a"), start_of("b"));
    let end_a = format!(
        "{DAYS}[(has(a.endDay) ? a.endDay : a.startDay)] + int(a.end.substring(0, 2)) * 60 + int(a.end.substring(3))"
    );
    rule(
        format!(
            "self.all(a, self.all(b, a.name == b.name || (has(a.timeZone) ? a.timeZone : '') != (has(b.timeZone) ? b.timeZone : '') || \
             ({start_b} - ({start_a}) + 10080) % 10080 >= \
             (has(a.end) ? ({end_a} - ({start_a}) + 10079) % 10080 + 1 : 1)))"
        ),
        "periods must not overlap, also across the week's end; move a start, or shorten the period before it",
    )
}

pub(crate) fn exceptions_do_not_overlap() -> Rule {
    rule(
        "self.all(a, self.all(b, a.name == b.name || has(a.start) != has(b.start) || a.to < b.from || b.to < a.from || (has(a.start) && (a.end <= b.start || b.end <= a.start))))",
        "two exceptions of the same kind (whole days, or part of a day) must not overlap; change a date or a time",
    )
}

pub(crate) fn scale_set_id() -> Rule {
    rule(
        r"self.matches('^(?i)/subscriptions/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/resourceGroups/[^/]{1,90}/providers/Microsoft\\.Compute/virtualMachineScaleSets/[^/]{1,64}$')",
        "resourceID must be the id of a virtual machine scale set: /subscriptions/<guid>/resourceGroups/<name>/providers/Microsoft.Compute/virtualMachineScaleSets/<name>",
    )
}

pub(crate) fn variable_is_not_ours() -> Rule {
    rule(
        "!self.name.matches('^(?i)VSTS_AGENT_INPUT_(URL|AUTH|TOKEN|USERNAME|PASSWORD|POOL|AGENT|RUNASSERVICE|(ADD)?(DEPLOYMENT|MACHINE)(GROUP|POOL).*|PROJECTNAME|COLLECTIONNAME)$')",
        "this variable is set by poolkeeper, or belongs to deployment groups, and must not be given; remove it",
    )
}

//! Facts about the clouds that nobody outside them can be sure of: what the simulator makes of each.

use jiff::SignedDuration;
use serde::Deserialize;

/// How the clouds behave where it is not documented. Every default is what poolkeeper takes for granted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Facts {
    /// Whether Azure answers a call without an api-version.
    pub api_version_optional: bool,
    /// Azure's code for a token that is none.
    pub bad_token_code: String,
    /// Azure's code for a scale set that does not exist.
    pub not_found_code: String,
    /// Azure's text for a scale set that does not exist.
    pub not_found_text: Option<String>,
    /// Whether Azure tells paths apart by case.
    pub path_case_matters: bool,
    /// Whether a scale set shows an etag.
    pub etag: bool,
    /// Whether answers say what is left of their bucket.
    pub budget_headers: bool,
    /// The status of an operation that does not exist.
    pub unknown_operation: u16,
    /// `name.value` of the region's cores among the usages.
    pub cores_name: String,
    /// What a PATCH of tags does with those that it leaves out.
    pub tags_patch: TagsPatch,
    /// The status of an accepted PATCH.
    pub patch_status: u16,
    /// Whether `If-Match` is honoured.
    pub if_match: bool,
    /// The most tags of a scale set.
    pub most_tags: usize,
    /// Whether a PATCH may name `sku.capacity` without `sku.name`.
    pub capacity_alone: bool,
    /// How long a new instance is not listed yet.
    pub listed_after: SignedDuration,
    /// The host of links between pages; the one that was called unless given.
    pub next_link_host: Option<String>,
    /// Digits at the end of a computer name.
    pub computer_name_digits: usize,
    /// The status of an instance that does not exist.
    pub unknown_instance: u16,
    /// The status of the deletion of an instance id that does not exist.
    pub delete_unknown: u16,
    /// The status of an accepted action.
    pub action_status: u16,
    /// Whether a Uniform set deletes instances in one operation while another one deletes.
    pub uniform_parallel_deletes: bool,
    /// Whether a Flexible set deletes VMs in one operation while another one deletes.
    pub flexible_parallel_deletes: bool,
    /// The status of a deletion of an instance that is being deleted.
    pub delete_twice: u16,
    /// Whether a deletion lowers the capacity.
    pub delete_lowers_capacity: bool,
    /// Whether an operation can be read after its end.
    pub operation_kept: bool,
    /// Whether a reimaged instance keeps its vmId.
    pub reimage_keeps_vm_id: bool,
    /// Whether a reimaged instance keeps its timeCreated.
    pub reimage_keeps_time_created: bool,
    /// Whether the filter of a Flexible set may be written with quotes around its left side.
    pub filter_quoted: bool,
    /// Whether the filter of a Flexible set may be written without quotes around its left side.
    pub filter_plain: bool,
    /// The code by which a Flexible set without ephemeral disks refuses to reimage.
    pub flexible_reimage_code: String,
    /// Whether the list of pools heeds `poolName`.
    pub pool_name_filter: bool,
    /// Whether `poolName` tells names apart by case.
    pub pool_name_case_matters: bool,
    /// A version that job requests do not have.
    pub job_requests_refuse: Option<String>,
    /// Whether job requests heed `completedRequestCount`.
    pub completed_request_count: bool,
    /// Whether Azure DevOps reads the version from `Accept`.
    pub version_in_header: bool,
    /// What Azure DevOps answers to a token that is none.
    pub bad_token: BadToken,
    /// Whether `X-TFS-FedAuthRedirect: Suppress` prevents a redirect to the sign-in page.
    pub suppress_redirect: bool,
    /// The `typeKey` of an agent that does not exist.
    pub agent_not_found_key: String,
    /// The status of the deletion of an agent that does not exist.
    pub delete_unknown_agent: u16,
    /// Whether a new record is enabled.
    pub added_agent_enabled: bool,
    /// Whether agents show capabilities and requests only where asked to.
    pub includes_needed: bool,
    /// The `typeKey` of an agent's name that is taken.
    pub agent_exists_key: String,
    /// Whether names of agents are told apart by case.
    pub agent_name_case_matters: bool,
    /// Whether a PATCH of an agent must give its name.
    pub patch_needs_name: bool,
    /// Whether user capabilities can be written.
    pub user_capabilities: bool,
    /// The status of the deletion of an agent.
    pub delete_agent: u16,
    /// What becomes of the deletion of an agent with a job.
    pub agent_delete_while_running: DeleteWhileRunning,
    /// Which ids the instances of a Uniform set get, and so which computer names. A set may give them again of its own
    /// accord, `reuseInstanceIDs`.
    pub instance_id_reuse: InstanceIdReuse,
    /// Whether an eviction that deletes a VM lowers the capacity.
    pub eviction_lowers_capacity: bool,
}

/// What becomes of the deletion of an agent with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum DeleteWhileRunning {
    /// It is refused.
    Refused,
    /// The record goes, and the job runs on where it is.
    Allowed,
}

/// Which ids new instances get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum InstanceIdReuse {
    /// Ones that no instance ever had.
    Never,
    /// The lowest that is free.
    Lowest,
}

/// What a PATCH of tags does with those that it leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TagsPatch {
    /// They are gone.
    Replace,
    /// They stay.
    Merge,
}

/// What Azure DevOps answers to a token that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum BadToken {
    /// 203 with the sign-in page.
    Page,
    /// 401.
    Refusal,
    /// 200 with an empty list, as if the caller were somebody without rights.
    EmptyList,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            api_version_optional: false,
            bad_token_code: "InvalidAuthenticationToken".into(),
            not_found_code: "ResourceNotFound".into(),
            not_found_text: None,
            path_case_matters: false,
            etag: true,
            budget_headers: true,
            unknown_operation: 404,
            cores_name: "cores".into(),
            tags_patch: TagsPatch::Replace,
            patch_status: 200,
            if_match: true,
            most_tags: 50,
            capacity_alone: true,
            listed_after: SignedDuration::ZERO,
            next_link_host: None,
            computer_name_digits: 6,
            unknown_instance: 404,
            delete_unknown: 400,
            action_status: 202,
            uniform_parallel_deletes: false,
            flexible_parallel_deletes: true,
            delete_twice: 409,
            delete_lowers_capacity: true,
            operation_kept: true,
            reimage_keeps_vm_id: true,
            reimage_keeps_time_created: true,
            filter_quoted: true,
            filter_plain: true,
            flexible_reimage_code: "OperationNotAllowed".into(),
            pool_name_filter: true,
            pool_name_case_matters: false,
            job_requests_refuse: None,
            completed_request_count: true,
            version_in_header: true,
            bad_token: BadToken::Page,
            suppress_redirect: true,
            agent_not_found_key: "TaskAgentNotFoundException".into(),
            delete_unknown_agent: 404,
            added_agent_enabled: true,
            includes_needed: true,
            agent_exists_key: "TaskAgentExistsException".into(),
            agent_name_case_matters: false,
            patch_needs_name: false,
            user_capabilities: true,
            delete_agent: 204,
            agent_delete_while_running: DeleteWhileRunning::Refused,
            instance_id_reuse: InstanceIdReuse::Never,
            eviction_lowers_capacity: true,
        }
    }
}

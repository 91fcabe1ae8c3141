//! A thin client of Azure DevOps for pools, agents and job requests.

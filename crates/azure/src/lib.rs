//! A thin client of Azure Resource Manager for virtual machine scale sets.

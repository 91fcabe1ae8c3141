//! The two clouds: a few VMs of one scale set, the agents of one pool, and jobs.

use std::sync::Arc;

use poolkeeper_policy::{AgentId, InstanceId, VmId};

use crate::{
    age::{Age, Tick},
    operator::{Kept, Pass},
};

/// Most VMs: places of the scale set, each with an instance id and a computer name that the next VM there has again.
pub const PLACES: usize = 3;

/// A state of the model: the world, and the operator in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// The VMs by their place.
    pub(crate) vms: [Option<Vm>; PLACES],
    /// The agent records by the computer name that they have; names are unique in a pool.
    pub(crate) records: [Option<Record>; PLACES],
    /// Jobs that nobody has queued yet.
    pub(crate) to_come: u8,
    /// Jobs that wait for an agent.
    pub(crate) queued: u8,
    /// What the process remembers.
    pub(crate) memory: Kept,
    /// What is in the pool's status.
    pub(crate) stored: Kept,
    /// What it is about to do; none between two passes.
    pub(crate) pass: Option<Arc<Pass>>,
    /// How many faults may still happen.
    pub(crate) faults: u8,
    /// What must never happen.
    pub(crate) crime: Option<Crime>,
}

/// A VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Vm {
    /// Tells VMs of one place apart, as the VM id does.
    pub(crate) generation: u8,
    pub(crate) phase: Phase,
    /// Stateful agents have a lifetime; else it is always old.
    pub(crate) born: Age,
    /// The scale set's tags say that it is saved.
    pub(crate) saved: bool,
}

/// What a VM does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// It runs, and its agent has not registered yet.
    Starting,
    /// Its agent has registered; it does so once.
    Up,
    /// It gets a new disk.
    Reimaging,
    /// It goes.
    Deleting,
}

/// An agent record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// Tells records of one name apart, as their ids do.
    pub(crate) serial: u8,
    /// The VM behind it.
    pub(crate) generation: u8,
    pub(crate) enabled: bool,
    /// A job is assigned to it.
    pub(crate) busy: bool,
    /// Just disabled: a job that was assigned before may show up yet.
    pub(crate) unsettled: bool,
    /// An earlier VM of its name has made it.
    pub(crate) inherited: bool,
    /// When it went offline, if it is offline.
    pub(crate) offline: Option<Age>,
    /// When its last job ended, if it was on this VM.
    pub(crate) finished: Option<Age>,
}

/// What must never happen by a call of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crime {
    /// The VM of an assigned job is deleted or reimaged.
    JobKilled,
    /// The record of an agent with an assigned job is deleted.
    RecordOfJobDeleted,
    /// A VM that takes jobs is deleted or reimaged.
    EnabledAgentRemoved,
    /// Another VM than the one decided upon is deleted or reimaged.
    OtherVmRemoved,
    /// There are more VMs than the maximum.
    OverMaximum,
}

pub(crate) fn vm_id(place: usize, generation: u8) -> VmId {
    VmId(format!("vm-{place}-{generation}"))
}

pub(crate) fn computer_name(place: usize) -> String {
    format!("agent{place:06}")
}

pub(crate) fn instance_id(place: usize) -> InstanceId {
    InstanceId(place.to_string())
}

pub(crate) fn place_of(instance: &InstanceId) -> Option<usize> {
    instance.0.parse().ok().filter(|place| *place < PLACES)
}

/// Record ids of one place: `place`, `place` + 3, ...
pub(crate) fn agent_id(place: usize, serial: u8) -> AgentId {
    AgentId(i64::try_from(place + PLACES * usize::from(serial)).unwrap_or(i64::MAX))
}

impl Record {
    /// It has a session.
    pub(crate) fn online(&self) -> bool {
        self.offline.is_none()
    }
}

impl State {
    pub(crate) fn vm(&self, place: usize) -> Option<Vm> {
        self.vms.get(place).copied().flatten()
    }

    pub(crate) fn vm_mut(&mut self, place: usize) -> Option<&mut Vm> {
        self.vms.get_mut(place)?.as_mut()
    }

    pub(crate) fn record(&self, place: usize) -> Option<Record> {
        self.records.get(place).copied().flatten()
    }

    pub(crate) fn record_mut(&mut self, place: usize) -> Option<&mut Record> {
        self.records.get_mut(place)?.as_mut()
    }

    pub(crate) fn put_vm(&mut self, place: usize, vm: Option<Vm>) {
        if let Some(found) = self.vms.get_mut(place) {
            *found = vm;
        }
    }

    pub(crate) fn put_record(&mut self, place: usize, record: Option<Record>) {
        if let Some(found) = self.records.get_mut(place) {
            *found = record;
        }
    }

    /// The record of the VM at this place, not one that an earlier VM has left.
    pub(crate) fn own_record(&self, place: usize) -> Option<Record> {
        let vm = self.vm(place)?;
        self.record(place).filter(|record| record.generation == vm.generation)
    }

    /// The place of a record.
    pub(crate) fn find(&self, agent: AgentId) -> Option<usize> {
        (0..PLACES)
            .find(|place| self.record(*place).is_some_and(|record| agent_id(*place, record.serial) == agent))
    }

    /// Members as the capacity counts them.
    pub(crate) fn capacity(&self) -> u32 {
        let stays = |vm: &&Vm| vm.phase != Phase::Deleting;
        u32::try_from(self.vms.iter().flatten().filter(stays).count()).unwrap_or(u32::MAX)
    }

    /// Puts a new VM in a place. Its id is one that nobody has in mind any more, which is as good as a new one.
    pub(crate) fn create(&mut self, place: usize, born: Age) {
        let pass = self.pass.as_deref();
        let known = |vm: &VmId| {
            self.memory.knows_vm(vm)
                || self.stored.knows_vm(vm)
                || pass.is_some_and(|pass| pass.vms.contains(vm))
        };
        let left = |generation: u8| {
            let of = |record: Option<Record>| record.is_some_and(|record| record.generation == generation);
            of(self.record(place)) || self.vm(place).is_some_and(|vm| vm.generation == generation)
        };
        let generation = (0..u8::MAX).find(|it| !known(&vm_id(place, *it)) && !left(*it)).unwrap_or(u8::MAX);
        self.put_vm(place, Some(Vm { generation, phase: Phase::Starting, born, saved: false }));
    }

    /// The VM's agent registers. A record of its name is taken over: it keeps its id (azure-pipelines-agent,
    /// `config --replace`).
    pub(crate) fn register(&mut self, place: usize) {
        let Some(vm) = self.vm_mut(place) else { return };
        vm.phase = Phase::Up;
        let generation = vm.generation;
        if let Some(record) = self.record_mut(place) {
            *record = Record { generation, inherited: true, offline: None, finished: None, ..*record };
            return;
        }
        let pass = self.pass.as_deref();
        let known = |agent: &AgentId| {
            self.memory.knows_agent(agent) || pass.is_some_and(|pass| pass.agents.contains(agent))
        };
        let serial = (0..u8::MAX).find(|serial| !known(&agent_id(place, *serial))).unwrap_or(u8::MAX);
        let record = Record {
            serial,
            generation,
            enabled: true,
            busy: false,
            unsettled: false,
            inherited: false,
            offline: None,
            finished: None,
        };
        self.put_record(place, Some(record));
    }

    /// Its agent has lost its machine; a job that it had is over, and comes again.
    pub(crate) fn machine_lost(&mut self, place: usize) {
        let Some(vm) = self.vm(place) else { return };
        if let Some(record) = self.record_mut(place).filter(|record| record.generation == vm.generation) {
            record.offline.get_or_insert(Age::Recent);
        }
    }

    /// The job of a record ends. Only stateful agents live long enough that somebody asks when.
    pub(crate) fn finish(&mut self, place: usize, ended: Age) {
        if let Some(record) = self.record_mut(place).filter(|record| record.busy) {
            (record.busy, record.finished) = (false, Some(ended));
            self.to_come += 1;
        }
    }

    pub(crate) fn tick(&mut self, tick: Tick) {
        for vm in self.vms.iter_mut().flatten() {
            vm.born = vm.born.after(tick);
        }
        for (record, vm) in self.records.iter_mut().zip(self.vms) {
            let Some(record) = record else { continue };
            record.unsettled = false;
            record.finished = record.finished.map(|at| at.after(tick));
            // Nobody asks how long an agent has been offline whose VM is there.
            if vm.is_none_or(|vm| vm.generation != record.generation) {
                record.offline = record.offline.map(|at| at.after(tick));
            }
        }
        self.memory = self.memory.after(tick);
        self.stored = self.stored.after(tick);
    }
}

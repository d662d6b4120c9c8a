//! Colours of fault kinds and of lines.

use crate::fault::Fault;

/// What went well.
pub(super) const PLAIN: &str = "#64748b";
/// What is in the background.
pub(super) const FAINT: &str = "#94a3b8";
/// For losses, failures and violations.
pub(super) const LOST: &str = "#dc2626";
/// The end of the faults, and orderly ends.
pub(super) const WELL: &str = "#15803d";

/// The colour of a kind of fault. Kinds that do alike look alike.
pub(super) const fn of(fault: Fault) -> &'static str {
    match fault {
        Fault::LoseRequest => "#e11d48",
        Fault::LoseReply => "#dc2626",
        Fault::Late => "#b45309",
        Fault::Duplicate => "#9333ea",
        Fault::Reorder => "#6d28d9",
        Fault::Truncate => "#ea580c",
        Fault::Garbage => "#c2410c",
        Fault::Swap => "#9a3412",
        Fault::Corrupt => "#7c2d12",
        Fault::Refuse => "#a16207",
        Fault::BodyCap => "#854d0e",
        Fault::Queueing => "#ca8a04",
        Fault::Restart => "#be185d",
        Fault::Crash => "#9d174d",
        Fault::Pause => "#2563eb",
        Fault::HeavyTail => "#1d4ed8",
        Fault::Partition => "#b91c1c",
        Fault::Mixed => "#0f766e",
        Fault::Clock => "#0e7490",
        Fault::Upstream => "#4d7c0f",
    }
}

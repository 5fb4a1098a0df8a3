//! What the hub promises, each promise tested against the real program over real connections.
//!
//! [`watch`]: publishing and watching. [`commands`] and [`queue`]: a command's whole life. [`crash`]:
//! nothing acknowledged is lost when the hub is killed under load. [`sessions`]: who is here.
//! [`readers`]: dashboards that are slow or get much at once. [`disk`]: syncs, seen from the kernel.
//! [`ending`]: stopping and revoking. [`fleet`]: one order for many devices. [`access`]: who may do what.
//! [`certificates`]: with which keys devices come. [`audit`]: who did what. [`light`]: the layers of a lamp's light. [`reload`]: files that change. [`revoked`]: lists of revoked certificates. [`transfer`]: backup and moving. [`loading`]: what is
//! seen right after a restart.

mod access;
mod audit;
mod certificates;
mod commands;
mod crash;
mod disk;
mod ending;
mod fleet;
mod light;
mod loading;
mod queue;
mod readers;
mod reload;
mod revoked;
mod series;
mod sessions;
mod transfer;
mod watch;

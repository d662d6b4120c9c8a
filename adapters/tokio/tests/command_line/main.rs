//! The binary as a user or a supervisor meets it: arguments, exit codes, signals, logs.

mod arguments;
mod binary;
mod check;
mod listeners;
mod logs;
mod results;
mod users;

//! The filler against a real store, real files and real sockets.

mod bed;
mod credentials;
mod faults;
mod folder;
mod hedge;
mod hostile;
mod origin;
mod queue;
mod requests;
mod script;
mod single_flight;
mod versitygw;

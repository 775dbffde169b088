//! A link with delay: two network namespaces, each with a TUN interface, and this process that carries packets between
//! them and holds each one back. The kernel drops namespaces and interfaces with the last process in them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::failure::{Failure, at};
use crate::interface::{bring_up, open_tun};
use crate::lifeline::end_with_stdin;

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Unsegmented, as the kernel hands over what its own interfaces would cut.
const PACKET_BYTES_MAX: usize = 66_000;
/// So that the link is not what is measured: a sender cuts what it sends into packets of a millisecond each, and paces
/// them by timers, which costs more here than the bytes; reno does not pace, and every namespace allows it.
const SETTINGS: [(&str, &str); 2] = [
    ("/proc/sys/net/ipv4/tcp_min_tso_segs", "40"),
    ("/proc/sys/net/ipv4/tcp_congestion_control", "reno"),
];
/// While packets are under way they are looked for this often: a wake-up for each would cost more than carrying it.
const TICK: Duration = Duration::from_micros(150);
/// Buffers of packets that passed are kept for others, at most so many.
const SPARE_PACKETS: usize = 4096;

struct End {
    namespace: File,
    tun: File,
}

/// Prints where the namespaces are (`nsenter --net=PATH` enters one), and the address of the far end.
pub fn run(delay: Duration) -> Result<(), Failure> {
    let near = open_end(NEAR)?;
    let far = open_end(FAR)?;
    let path = |end: &End| format!("/proc/{}/fd/{}", std::process::id(), end.namespace.as_raw_fd());
    println!("{{\"near\":\"{}\",\"far\":\"{}\",\"address\":\"{FAR}\"}}", path(&near), path(&far));
    end_with_stdin();
    carry(&near.tun, &far.tun, delay)
}

/// Moves this thread into a new namespace and puts an interface there.
fn open_end(address: Ipv4Addr) -> Result<End, Failure> {
    // SAFETY: it concerns the network namespace of this thread alone, and none of its memory or files.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
        .map_err(at("a network namespace (it needs root)"))?;
    let namespace = File::open("/proc/thread-self/ns/net")?;
    for (path, value) in SETTINGS {
        std::fs::write(path, value).map_err(at(path))?;
    }
    bring_up("lo")?;
    Ok(End { namespace, tun: open_tun("link", address)? })
}

/// In a buffer that has room for any packet.
struct Packet {
    due: Instant,
    buffer: Box<[u8]>,
    len: usize,
}

/// What goes one way.
struct Lane<'a> {
    from: &'a File,
    to: &'a File,
    held: VecDeque<Packet>,
}

fn carry(near: &File, far: &File, delay: Duration) -> Result<(), Failure> {
    let mut spare: Vec<Box<[u8]>> = Vec::new();
    let lane = |from, to| Lane { from, to, held: VecDeque::new() };
    let mut lanes = [lane(near, far), lane(far, near)];
    loop {
        for lane in &mut lanes {
            lane.take_in(delay, &mut spare)?;
            lane.let_out(&mut spare)?;
        }
        if lanes.iter().all(|lane| lane.held.is_empty()) {
            wait_for_packets(near, far)?;
        } else {
            thread::sleep(TICK);
        }
    }
}

impl Lane<'_> {
    fn take_in(&mut self, delay: Duration, spare: &mut Vec<Box<[u8]>>) -> Result<(), Failure> {
        let due = Instant::now() + delay;
        loop {
            let mut buffer =
                spare.pop().unwrap_or_else(|| vec![0; PACKET_BYTES_MAX].into_boxed_slice());
            match self.from.read(&mut buffer) {
                Ok(len) => self.held.push_back(Packet { due, buffer, len }),
                Err(error) => {
                    spare.push(buffer);
                    return match error.kind() {
                        ErrorKind::WouldBlock => Ok(()),
                        _ => Err(at("the link")(error)),
                    };
                }
            }
        }
    }

    fn let_out(&mut self, spare: &mut Vec<Box<[u8]>>) -> Result<(), Failure> {
        let now = Instant::now();
        while self.held.front().is_some_and(|packet| packet.due <= now) {
            let Some(packet) = self.held.pop_front() else { break };
            // A packet that the other side has no room for is lost, as on any link.
            match self.to.write(&packet.buffer[..packet.len]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(at("the link")(error)),
            }
            if spare.len() < SPARE_PACKETS {
                spare.push(packet.buffer);
            }
        }
        Ok(())
    }
}

fn wait_for_packets(near: &File, far: &File) -> Result<(), Failure> {
    let mut ends = [PollFd::new(near, PollFlags::IN), PollFd::new(far, PollFlags::IN)];
    match poll(&mut ends, None::<&Timespec>) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

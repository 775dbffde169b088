//! A TUN interface in the network namespace of the calling thread, by ioctl: no program of the machine is needed.

use std::ffi::{c_int, c_short, c_ulong};
use std::fs::{File, OpenOptions};
use std::io::Error;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use crate::failure::{Failure, at};

/// As inside a data centre.
const MTU: c_int = 9_000;
const QUEUE_PACKETS: c_int = 10_000;
const NETMASK: Ipv4Addr = Ipv4Addr::new(255, 255, 255, 0);

const TUNSETIFF: c_ulong = 0x4004_54ca;
const TUNSETOFFLOAD: c_ulong = 0x4004_54d0;
/// The other end takes packets without their checksum, since they never leave this machine,
const TUN_F_CSUM: c_ulong = 1;
/// and uncut: what a link costs is counted in packets.
const TUN_F_TSO4: c_ulong = 2;

/// A `struct ifreq` with the one of its values that a request uses.
#[repr(C)]
#[derive(Clone, Copy)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    value: Value,
}

#[repr(C)]
#[derive(Clone, Copy)]
union Value {
    flags: c_short,
    number: c_int,
    address: libc::sockaddr_in,
    /// The kernel's structure has this size.
    room: [u8; 24],
}

impl Request {
    fn new(name: &str, value: Value) -> Request {
        let mut padded = [0; libc::IFNAMSIZ];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        Request { name: padded, value }
    }
}

/// What is sent to the interface is read from the file, each packet after a header of 10 bytes (`virtio_net_hdr`); what
/// is written to it arrives at the interface.
pub fn open_tun(name: &str, address: Ipv4Addr) -> Result<File, Failure> {
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open("/dev/net/tun");
    let tun = opened.map_err(at("/dev/net/tun"))?;
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as c_short;
    ioctl(tun.as_raw_fd(), TUNSETIFF, &mut Request::new(name, Value { flags }))?;
    // SAFETY: this request takes its argument by value.
    let offloaded = unsafe { libc::ioctl(tun.as_raw_fd(), TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4) };
    if offloaded < 0 {
        return Err(at("offload")(Error::last_os_error()));
    }
    set(name, libc::SIOCSIFMTU, Value { number: MTU })?;
    set(name, libc::SIOCSIFTXQLEN, Value { number: QUEUE_PACKETS })?;
    set(name, libc::SIOCSIFADDR, Value { address: socket_address(address) })?;
    set(name, libc::SIOCSIFNETMASK, Value { address: socket_address(NETMASK) })?;
    bring_up(name)?;
    Ok(tun)
}

pub fn bring_up(name: &str) -> Result<(), Failure> {
    let flags = (libc::IFF_UP | libc::IFF_RUNNING) as c_short;
    set(name, libc::SIOCSIFFLAGS, Value { flags })
}

fn set(name: &str, request: c_ulong, value: Value) -> Result<(), Failure> {
    // Any socket stands for the namespace that it was made in.
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(at(name))?;
    ioctl(socket.as_raw_fd(), request, &mut Request::new(name, value))
}

fn ioctl(fd: RawFd, request: c_ulong, argument: &mut Request) -> Result<(), Failure> {
    // SAFETY: `argument` is as large as the kernel's `struct ifreq`, and lives during the call.
    match unsafe { libc::ioctl(fd, request, argument) } {
        0.. => Ok(()),
        _ => Err(at("setting up a network interface")(Error::last_os_error())),
    }
}

fn socket_address(address: Ipv4Addr) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(address).to_be() },
        sin_zero: [0; 8],
    }
}

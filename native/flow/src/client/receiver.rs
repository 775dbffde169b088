//! The reading half of a connection: frames, their descriptors, and pieces that go straight where they belong.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use millpool_core::{Code, Error, Result};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::frame::{FLAG_DESCRIPTOR, HEADER_BYTES, Header, broken};
use crate::piece::PieceHead;

/// Descriptors that one receive can bring; the daemon sends one with a frame.
const DESCRIPTORS_MAX: usize = 8;
const DISCARD_BYTES: usize = 64 << 10;
/// The next frame's beginning is received with the end of the one before: one system call a piece. No more than what
/// comes before a piece's bytes, which are to be received where they belong.
const AHEAD_BYTES: usize = HEADER_BYTES + PieceHead::BYTES;

pub struct Receiver {
    socket: Arc<UnixStream>,
    /// Received, and not yet claimed by the frame that they came with.
    descriptors: VecDeque<OwnedFd>,
    ahead: [u8; AHEAD_BYTES],
    /// Received and not yet used: `ahead[from..to]`.
    from: usize,
    to: usize,
}

impl Receiver {
    pub fn new(socket: Arc<UnixStream>) -> Self {
        Receiver { socket, descriptors: VecDeque::new(), ahead: [0; AHEAD_BYTES], from: 0, to: 0 }
    }

    /// The next frame's header, and the descriptor that came with it.
    pub fn header(&mut self) -> Result<(Header, Option<File>)> {
        let mut bytes = [0u8; HEADER_BYTES];
        self.fill(&mut bytes)?;
        let header = Header::decode(&bytes)?;
        if header.flags & FLAG_DESCRIPTOR == 0 {
            return Ok((header, None));
        }
        match self.descriptors.pop_front() {
            Some(descriptor) => Ok((header, Some(descriptor.into()))),
            None => Err(broken(
                "a descriptor was announced and did not come; is the limit of open files reached?",
            )),
        }
    }

    pub fn payload(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut payload = vec![0; len];
        self.fill(&mut payload)?;
        Ok(payload)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    pub fn discard(&mut self, mut len: usize) -> Result<()> {
        let mut bytes = vec![0; len.min(DISCARD_BYTES)];
        while len > 0 {
            let part = len.min(DISCARD_BYTES);
            self.fill(&mut bytes[..part])?;
            len -= part;
        }
        Ok(())
    }

    /// Blocks until all of `bytes` is received. `Closed` when the other side ends the connection.
    pub fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        let mut filled = bytes.len().min(self.to - self.from);
        bytes[..filled].copy_from_slice(&self.ahead[self.from..self.from + filled]);
        self.from += filled;
        while filled < bytes.len() {
            match self.receive(&mut bytes[filled..]) {
                Ok(0) => return Err(Error::new(Code::Closed, "the daemon closed the connection")),
                Ok(received) => filled += received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Error::new(Code::Timeout, "the daemon did not answer in time"));
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Error::new(Code::Closed, "the daemon is gone"));
                }
                Err(error) => return Err(Error::io("reading from the daemon", &error)),
            }
        }
        Ok(())
    }

    /// Receives into `bytes`, and past them into `ahead`, which is empty.
    fn receive(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let wanted = bytes.len();
        let mut parts = [IoSliceMut::new(bytes), IoSliceMut::new(&mut self.ahead)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received =
            rustix::net::recvmsg(self.socket.as_fd(), &mut parts, &mut control, flags)?.bytes;
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(descriptors) = message {
                self.descriptors.extend(descriptors);
            }
        }
        (self.from, self.to) = (0, received.saturating_sub(wanted));
        Ok(received.min(wanted))
    }
}

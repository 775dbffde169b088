//! The socket that a daemon listens on, and passing descriptors over it.

use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use millpool_core::{Code, Error, Result};
use rustix::fs::{FlockOperation, Mode};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType,
};

const BACKLOG: i32 = 1024;

/// Listens at `path` with these permission bits. What a dead daemon left there is replaced; a live one is `Exists`.
pub(super) fn listen(path: &Path, mode: u32) -> Result<UnixListener> {
    let name = path.display();
    let address = SocketAddrUnix::new(path).map_err(|_| {
        Error::new(
            Code::Invalid,
            format!("the socket path {name} is longer than the 107 bytes that Linux allows"),
        )
    })?;
    let folder =
        path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder_file = File::open(folder)
        .map_err(|e| Error::io(format_args!("opening {}", folder.display()), &e))?;
    // Two daemons that start at once must not both find a dead socket and unlink each other's new one.
    rustix::fs::flock(&folder_file, FlockOperation::LockExclusive)
        .map_err(|e| Error::io(format_args!("locking {}", folder.display()), &e.into()))?;
    clear(path)?;
    bind(&address, path, mode).map_err(|e| Error::io(format_args!("listening on {name}"), &e))
}

fn bind(address: &SocketAddrUnix, path: &Path, mode: u32) -> io::Result<UnixListener> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    // Linux gives the file the mode of the socket, less the umask: never more than was asked for, not for a moment.
    rustix::fs::fchmod(&socket, Mode::from_raw_mode(mode))?;
    rustix::net::bind(&socket, address)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

fn clear(path: &Path) -> Result<()> {
    let name = path.display();
    let kind = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format_args!("looking at {name}"), &error)),
    };
    if !kind.is_socket() {
        return Err(Error::new(Code::Exists, format!("{name} is there already and is no socket")));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format_args!("asking who listens on {name}"), &error)),
        Ok(_) => return Err(Error::new(Code::Exists, format!("another daemon listens on {name}"))),
    }
    std::fs::remove_file(path)
        .map_err(|e| Error::io(format_args!("removing the dead socket {name}"), &e))
}

/// One write of `bytes` with a descriptor beside the first of them. Does not block: `WouldBlock`.
pub(super) fn send_with(socket: BorrowedFd<'_>, bytes: &[u8], file: &File) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [file.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::other("no room for one descriptor"));
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        drop(listen(&path, 0o600).unwrap());
        assert!(path.exists(), "closing a listener leaves its file");
        let live = listen(&path, 0o660).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        let error = listen(&path, 0o600).unwrap_err();
        assert_eq!(error.code, Code::Exists);
        assert!(error.message.contains(path.to_str().unwrap()));
        drop(live);
    }

    #[test]
    fn a_file_in_the_way_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(listen(&path, 0o600).unwrap_err().code, Code::Exists);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
        let long = folder.path().join("x".repeat(120));
        assert_eq!(listen(&long, 0o600).unwrap_err().code, Code::Invalid);
    }
}

//! Signed requests against versitygw, a real S3 server, with objects that curl put there with its own signing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use millpool_core::{Code, ObjectRef, PIECE_BYTES};
use millpool_source::{Credentials, SourceConfig};

use crate::bed::{BUCKET, Bed, PATIENCE, Terms};
use crate::origin::source_at;

const ACCESS_KEY: &str = "millpool-test";
const SECRET_KEY: &str = "a-secret-of-a-test";

struct Gateway {
    process: Child,
    endpoint: String,
    place: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `$MILLPOOL_VERSITYGW`, or where `go install` and the project's harness put it.
fn binary() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let named = std::env::var_os("MILLPOOL_VERSITYGW").map(PathBuf::from);
    let usual = [".cache/millpool/bin/versitygw", "go/bin/versitygw"].map(|place| home.join(place));
    named.into_iter().chain(usual).find(|path| path.is_file())
}

impl Gateway {
    fn start() -> Option<Gateway> {
        let Some(binary) = binary() else {
            println!(
                "not run: no versitygw (go install github.com/versity/versitygw/cmd/versitygw@v1.8.0)"
            );
            return None;
        };
        if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
            println!("not run: no curl to put objects with");
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join(BUCKET)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let process = Command::new(binary)
            .args([
                "--quiet",
                "--keep-alive",
                "--region",
                "us-east-1",
                "--port",
                &port.to_string(),
                "posix",
            ])
            .arg(place.path())
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let gateway = Gateway { process, endpoint: format!("http://{port}"), place };
        let deadline = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(port).is_err() {
            assert!(Instant::now() < deadline, "versitygw does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(gateway)
    }

    fn curl(&self, key: &str, arguments: &[&str]) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3"])
            .args(["--user", &format!("{ACCESS_KEY}:{SECRET_KEY}")])
            .args(arguments)
            .arg(format!("{}/{BUCKET}/{key}", self.endpoint))
            .output()
            .unwrap();
        assert!(output.status.success(), "curl {key}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// With the ETag that the server gives it.
    fn put(&self, key: &str, file: &Path) -> Arc<ObjectRef> {
        let size = std::fs::metadata(file).unwrap().len();
        self.curl(key, &["--upload-file", file.to_str().unwrap()]);
        let head = self.curl(key, &["--head"]);
        let etag = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("etag").then(|| value.trim().to_owned())
        });
        let tag = etag.expect("an ETag").into_bytes();
        Arc::new(ObjectRef { attachment: 1, source_key: key.into(), size, tag })
    }

    fn source(&self, bucket: &str) -> SourceConfig {
        source_at(self.endpoint.clone(), bucket)
    }
}

fn keys(access: &str, secret: &str) -> Option<Credentials> {
    let (access_key, secret_key) = (access.into(), secret.into());
    Some(Credentials { access_key, secret_key, session_token: None, expires: None })
}

#[test]
fn signed_gets_of_whole_objects_and_parts() {
    let Some(gateway) = Gateway::start() else { return };
    let bed = Bed::new(Terms::default());
    bed.attach(1, gateway.source(BUCKET));
    bed.filler.set_credentials(1, keys(ACCESS_KEY, SECRET_KEY));
    let large: Vec<u8> = (0..PIECE_BYTES + 1000).map(|n| (n >> 5) as u8).collect();
    let file = bed.place.path().join("file");
    std::fs::write(&file, &large).unwrap();
    let object = gateway.put("large.bin", &file);
    assert_eq!([bed.bytes(&object, 0), bed.bytes(&object, 1)].concat(), large);
    std::fs::write(&file, b"small").unwrap();
    // curl signs a path as it is given, so only keys that need no encoding can be put by it.
    let small = gateway.put("a/b-c_d.e~f", &file);
    assert_eq!(bed.bytes(&small, 0), b"small");
    std::fs::write(&file, b"other").unwrap();
    let replaced = gateway.put("a/b-c_d.e~f", &file);
    assert_ne!(replaced.tag, small.tag);
    assert_eq!(bed.bytes(&replaced, 0), b"other");
}

#[test]
fn a_real_server_says_no_in_its_own_words() {
    let Some(gateway) = Gateway::start() else { return };
    let bed = Bed::new(Terms::default());
    bed.attach(1, gateway.source(BUCKET));
    let file = bed.place.path().join("file");
    std::fs::write(&file, b"first").unwrap();
    let first = gateway.put("o", &file);
    for (access, secret) in [(ACCESS_KEY, "a-wrong-secret"), ("nobody", SECRET_KEY)] {
        bed.filler.set_credentials(1, keys(access, secret));
        let error = bed.error(&first, 0);
        assert_eq!(error.code, Code::Refused, "{access}: {error}");
        assert!(!error.message.contains(secret), "{error}");
    }
    bed.filler.set_credentials(1, keys(ACCESS_KEY, SECRET_KEY));
    std::fs::write(&file, b"later").unwrap();
    gateway.put("o", &file);
    assert_eq!(bed.error(&first, 0).code, Code::SourceChanged);
    let none = ObjectRef { source_key: b"none".to_vec(), ..(*first).clone() };
    assert_eq!(bed.error(&Arc::new(none), 0).code, Code::NotFound);
    bed.attach(1, gateway.source("nobucket"));
    bed.filler.set_credentials(1, keys(ACCESS_KEY, SECRET_KEY));
    let error = bed.error(&first, 0);
    assert_eq!(error.code, Code::NotFound);
    assert!(error.message.contains("nobucket"), "{error}");
}

#[test]
fn a_file_put_there_by_hand_has_no_etag_and_is_known_by_its_time() {
    let Some(gateway) = Gateway::start() else { return };
    let bed = Bed::new(Terms::default());
    bed.attach(1, gateway.source(BUCKET));
    bed.filler.set_credentials(1, keys(ACCESS_KEY, SECRET_KEY));
    let path = gateway.place.path().join(BUCKET).join("by-hand");
    std::fs::write(&path, b"by hand").unwrap();
    let modified = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let object = |seconds: u64| {
        let tag = format!("m:{seconds}").into_bytes();
        Arc::new(ObjectRef { attachment: 1, source_key: b"by-hand".to_vec(), size: 7, tag })
    };
    assert_eq!(bed.bytes(&object(1_700_000_000), 0), b"by hand");
    assert_eq!(bed.error(&object(1_700_000_001), 0).code, Code::SourceChanged);
}

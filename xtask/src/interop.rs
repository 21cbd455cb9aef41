//! `cargo xtask interop`: page-cache with servers that others have made.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use clap::Args;
use tempfile::TempDir;

use crate::process::{Result, cargo, program, run, tool};
use crate::python::Python;

/// The S3 server that is tried.
const MOTO: &str = "moto[s3,server]==5.2.5";
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Read from nginx and from a server of the S3 protocol; installs both where they are missing
#[derive(Debug, Args)]
pub(crate) struct Interop {}

impl Interop {
    pub(crate) fn run(&self) -> Result {
        // First without anybody, so that what is wrong with the test itself is not taken for a server's fault.
        run(&mut test())?;
        nginx()?;
        moto()?;
        println!("2 servers passed, 0 failed");
        Ok(())
    }
}

fn test() -> Command {
    cargo(["test", "--package", "page-cache", "--features", "http,aws", "--test", "interop"])
}

fn nginx() -> Result {
    tool("nginx", "nginx")?;
    let (directory, address) = (TempDir::new()?, free_address()?);
    let path = directory.path().display();
    let configuration = directory.path().join("nginx.conf");
    // One process, so that to end it is to end all of it.
    let text = format!(
        "daemon off; master_process off; pid {path}/pid; error_log {path}/error.log;
         events {{}}
         http {{
             access_log off;
             client_body_temp_path {path}/body; proxy_temp_path {path}/proxy; fastcgi_temp_path {path}/fastcgi;
             uwsgi_temp_path {path}/uwsgi; scgi_temp_path {path}/scgi;
             server {{ listen {address}; root {path}/files; }}
         }}"
    );
    std::fs::write(&configuration, text)?;
    let mut server = program("nginx", ["-p", &path.to_string()]);
    let _server = Server::start(server.arg("-c").arg(&configuration), address)?;
    let files = directory.path().join("files");
    run(test().env("INTEROP", "files").env("INTEROP_ADDRESS", address.to_string()).env("INTEROP_DIRECTORY", files))
}

fn moto() -> Result {
    let python = Python::with("interop", &[MOTO])?;
    let address = free_address()?;
    let mut server = python.program("moto_server", ["-H", "127.0.0.1", "-p"]);
    let _server = Server::start(server.arg(address.port().to_string()), address)?;
    run(test().env("INTEROP", "s3").env("INTEROP_ADDRESS", address.to_string()))
}

/// An address that nobody listens at, for now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A server that ends with this.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, address: SocketAddr) -> Result<Self> {
        let mut server = Self(command.spawn().map_err(|error| format!("{command:?}: {error}"))?);
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.0.try_wait()? {
                return Err(format!("{command:?}: {status}").into());
            }
            if start.elapsed() > PATIENCE {
                return Err(format!("{command:?} does not listen at {address}").into());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself cannot be ended.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

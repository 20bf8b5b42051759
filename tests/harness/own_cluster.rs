//! A Redis cluster of a story's own: three nodes that take writes, without replicas.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::name::Name;
use super::own_engine::{folder, free_port};

const NODES: usize = 3;

/// The cluster, until this is dropped.
#[derive(Debug)]
pub(crate) struct OwnCluster {
    data: PathBuf,
    ports: Vec<u16>,
    nodes: Vec<Option<Child>>,
}

impl OwnCluster {
    /// Starts it and waits until every slot has its node.
    pub(crate) fn start() -> Self {
        let data = folder().join(Name::fresh().as_str());
        let mut own = Self { data, ports: (0..NODES).map(|_| free_port()).collect(), nodes: Vec::new() };
        for node in 0..NODES {
            own.nodes.push(None);
            own.start_node(node);
        }
        let addresses: Vec<String> = own.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let made = Command::new("redis-cli").args(["--cluster", "create"]).args(addresses).arg("--cluster-yes").output().expect("redis-cli can be run");
        assert!(made.status.success(), "{}{}", String::from_utf8_lossy(&made.stdout), String::from_utf8_lossy(&made.stderr));
        own.until_whole();
        own
    }

    /// What leads to it: all of its nodes, so that any may be away when a hub starts.
    pub(crate) fn url(&self) -> String {
        let urls: Vec<String> = self.ports.iter().map(|port| format!("redis://127.0.0.1:{port}/0")).collect();
        urls.join(",")
    }

    /// The node that holds a key.
    pub(crate) fn node_of(&self, key: &str) -> usize {
        // A node that does not hold it says which one does.
        let told = cli(self.ports[0], &["get", key]);
        self.ports.iter().position(|port| told.contains(&format!(":{port}"))).unwrap_or(0)
    }

    /// Kills a node.
    pub(crate) fn kill(&mut self, node: usize) {
        if let Some(mut process) = self.nodes[node].take() {
            process.kill().and_then(|()| process.wait()).expect("it is ours");
        }
    }

    /// Starts it again, with what it has on disk, and waits until the cluster is whole.
    pub(crate) fn start_again(&mut self, node: usize) {
        self.start_node(node);
        self.until_whole();
    }

    fn start_node(&mut self, node: usize) {
        let (port, folder) = (self.ports[node], self.data.join(node.to_string()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut server = Command::new("redis-server");
        server.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--cluster-port", &free_port().to_string(), "--dir"]).arg(&folder);
        server.args([
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "2000",
            "--cluster-require-full-coverage",
            "no",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--save",
            "",
        ]);
        server.args(["--maxmemory-policy", "noeviction"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.nodes[node] = Some(server.spawn().expect("redis-server can be run"));
        until(|| cli(port, &["ping"]).trim() == "PONG");
    }

    fn until_whole(&self) {
        until(|| self.ports.iter().all(|port| cli(*port, &["cluster", "info"]).contains("cluster_state:ok")));
    }
}

impl Drop for OwnCluster {
    fn drop(&mut self) {
        (0..NODES).for_each(|node| self.kill(node));
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

fn cli(port: u16, arguments: &[&str]) -> String {
    let output = Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments).output().expect("redis-cli can be run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn until(mut holds: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < super::SOON, "the cluster is not there");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}
